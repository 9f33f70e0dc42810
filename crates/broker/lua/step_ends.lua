-- PURPOSE: shows how nodes of a workflow have ended; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 workflow.
-- ARGV: 1 max_bytes, 2 with_values; then the nodes, each row of neighbours as first-last.
-- RETURNS: {done, found, pending}: for each node its kept end or '', fewer than asked for if they have more bytes than that, one at least;
--   without values a letter for each, in one text, - for none. Then for each whose followers are still to be dealt with its place, and
--   how many were.
local workflow = KEYS[1]
local max_bytes = tonumber(ARGV[1])
local with_values = ARGV[2]

local ends, advances = {}, {}
for at = 3, #ARGV do
  local first, last = string.match(ARGV[at], '^(%d+)-(%d+)$')
  for node = tonumber(first), tonumber(last) do
    ends[#ends + 1] = string.format('e%d', node)
  end
end
local found, pending, bytes, longest, next_place = {}, {}, 0, 0, 1
-- Some at a time: first a few, then as many as fit if all are as long as the longest so far.
local step = with_values == '1' and 16 or VALUES
while next_place <= #ends and bytes <= max_bytes do
  local last = math.min(next_place + step - 1, #ends)
  for at, text in ipairs(redis.call('HMGET', workflow, unpack(ends, next_place, last))) do
    text = text or ''
    local letter = string.byte(text)
    if with_values == '0' then
      text = letter and string.char(letter) or '-'
    else
      longest = math.max(longest, #text)
      bytes = bytes + #text
      if bytes > max_bytes and #found > 0 then
        break
      end
    end
    found[#found + 1] = text
    -- A small letter.
    if letter and letter >= 97 then
      pending[#pending + 1] = next_place + at - 1
    end
  end
  next_place = last + 1
  if with_values == '1' then
    step = math.max(1, math.min(VALUES, math.floor((max_bytes - bytes) / math.max(longest, 1))))
  end
end
local dealt_with = {}
for _, place in ipairs(pending) do
  dealt_with[#dealt_with + 1] = place
  dealt_with[#dealt_with + 1] = redis.call('HGET', workflow, 'a' .. string.sub(ends[place], 2)) or '0'
end
return {'done', with_values == '1' and found or table.concat(found), dealt_with}

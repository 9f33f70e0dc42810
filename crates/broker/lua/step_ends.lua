-- PURPOSE: shows how nodes of a workflow have ended; writes nothing.
-- PRECONDITION: none.
-- KEYS: 1 workflow.
-- ARGV: 1 max_bytes, 2 with_values; then the nodes.
-- RETURNS: {done, found}, for each node its kept end or '', and how many of its followers were dealt with; fewer than asked for if they
--   have more bytes than that, one at least.
local workflow = KEYS[1]
local max_bytes = tonumber(ARGV[1])
local with_values = ARGV[2]

local found, bytes = {}, 0
for at = 3, #ARGV do
  local kept = redis.call('HMGET', workflow, 'e' .. ARGV[at], 'a' .. ARGV[at])
  local text = kept[1] or ''
  if with_values == '0' then
    text = string.sub(text, 1, 1)
  end
  bytes = bytes + #text
  if bytes > max_bytes and #found > 0 then
    break
  end
  found[#found + 1] = text
  found[#found + 1] = kept[2] or '0'
end
return {'done', found}

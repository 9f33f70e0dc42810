-- Unique keys: key to the id of the one unfinished job that has it.

-- The job that has a key, or nil. A key whose job has no record is free, whatever left it behind.
local function holder_of_key(unique, jobs, key)
  local holder = redis.call('HGET', unique, key)
  if holder and redis.call('HEXISTS', jobs, holder) == 1 then
    return holder
  end
  return nil
end

-- Frees the key that a job had.
local function free_key(unique, key, id)
  if key ~= '' and redis.call('HGET', unique, key) == id then
    redis.call('HDEL', unique, key)
  end
end

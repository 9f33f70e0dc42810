-- PURPOSE: keeps the end of a step that has no job.
-- PRECONDITION: none; an end that lets others go on stays.
-- KEYS: 1 workflow, 2 untils, 3 events.
-- ARGV: 1 override, 2 id; then what lib/workflow.lua reads of an end.
-- RETURNS: {done}.
local workflow = KEYS[1]
local untils = KEYS[2]
local events = KEYS[3]
local override = ARGV[1]
local id = ARGV[2]
local store = {untils = untils, events = events}

check_workflows(store, 1, 1)
local at = 2
local function take()
  at = at + 1
  return ARGV[at]
end
local step = read_step(take)
raise_top(workflow, tonumber(step.node))
end_step(store, workflow, id, step, clock(override))
return {'done'}

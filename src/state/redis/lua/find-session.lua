--[[
  Find a session and keep it for another while. Its end is moved only when a
  tenth of its idle life is over, so most look-ups write nothing.

  KEYS[1], KEYS[2]  as in start-session.lua
  ARGV[1]  the id
  ARGV[2]  idle life, ms

  Returns {} for no such session, else { record, level or '', the moment when
  it is gone if that was moved, else 0 }.
]]
local found = redis.call('HMGET', KEYS[2], 'record', 'level', 'last')
if not found[1] then return {} end

local idle = tonumber(ARGV[2])
local moved = 0
if redis.call('PTTL', KEYS[2]) < idle * 0.9 then
  local time = redis.call('TIME')
  local gone = math.min(time[1] * 1000 + math.floor(time[2] / 1000) + idle, tonumber(found[3]))
  -- First, since Redis looks at its memory before a script's first write alone. Without memory the session lives on,
  -- and its owner's count is too low for a while.
  redis.pcall('ZADD', KEYS[1], gone, ARGV[1])
  redis.call('PEXPIREAT', KEYS[2], gone)
  if redis.call('PTTL', KEYS[1]) < idle then redis.call('PEXPIRE', KEYS[1], idle) end
  moved = gone
end
return { found[1], found[2] or '', moved }

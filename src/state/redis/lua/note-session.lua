--[[
  Note something in a session, if it is there: a note must not bring one back.

  KEYS[1]  the session
  ARGV[1]  the field
  ARGV[2]  its value
  ARGV[3]  most fields a session may have; '' for no limit

  Returns 1, or 0 for no such session or too many fields.
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[3] ~= '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1

--[[
  Note something in a session, if it is there: a note must not bring one back.

  KEYS[1]  the session
  ARGV[1]  the field
  ARGV[2]  its value
  ARGV[3]  most fields a session may have; '' for no limit
  ARGV[4]  most bytes in the names of its fields

  Returns 1, or 0 for no such session, too many fields or too much in them.
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[3] ~= '' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  local fields = redis.call('HKEYS', KEYS[1])
  if #fields >= tonumber(ARGV[3]) then return 0 end
  local bytes = #ARGV[1]
  for i = 1, #fields do bytes = bytes + #fields[i] end
  if bytes > tonumber(ARGV[4]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1

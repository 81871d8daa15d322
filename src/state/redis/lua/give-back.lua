--[[
  Give units back to the slice they were counted in; what has left the window
  since is not owed.

  KEYS[1]  the subject's window
  ARGV[1]  slice  as hit.lua returned it
  ARGV[2]  cost   units

  Returns 1 if they were given back, else 0.
]]
local packed = redis.call('GET', KEYS[1])
if not packed then return 0 end
for i = 1, #packed, 9 do
  local slice, units = struct.unpack('>I5I4', packed, i)
  if slice == tonumber(ARGV[1]) then
    redis.call('SETRANGE', KEYS[1], i - 1, struct.pack('>I5I4', slice, math.max(0, units - tonumber(ARGV[2]))))
    return 1
  end
end
return 0

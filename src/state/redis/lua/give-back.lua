--[[
  Give units back to the slice they were counted in; what has left the window
  since is not owed. The packed form is that of window.lua.

  KEYS[1]  the subject's window
  ARGV[1]  slice  as hit.lua returned it
  ARGV[2]  cost   units

  Returns 1 if they were given back, else 0.
]]
local ENTRY = '>I5I4'
local STEPS = 1000
local packed = redis.call('GET', KEYS[1])
if not packed then return 0 end
for at = 1, #packed, 9 do
  local slice, units = struct.unpack(ENTRY, packed, at)
  if slice > STEPS and slice == tonumber(ARGV[1]) then
    local back = math.min(units, tonumber(ARGV[2]))
    redis.call('SETRANGE', KEYS[1], at - 1, struct.pack(ENTRY, slice, units - back))
    local first, sum = struct.unpack(ENTRY, packed)
    if first <= STEPS then redis.call('SETRANGE', KEYS[1], 0, struct.pack(ENTRY, first, sum - back)) end
    return 1
  end
end
return 0

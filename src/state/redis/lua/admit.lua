--[[
  Look an API key up and count one request of it, in one step.

  KEYS[1]  the key's record, a hash: json, and what is decided here: limit,
           expires, revoked, guarded (bound to addresses), moved and until
           (rotated: the hash of its successor, and when the overlap ends)
  KEYS[2]  the key's window, in the same slot
  ARGV[1]  limit of the class, units per window; the record's own wins
  ARGV[2]  length of the window, ms
  ARGV[3]  now, ms since the epoch; '' for the clock of Redis

  Returns {} for no such key, { '', moved } for a rotated one within its
  overlap, { json } where nothing is counted, { json, '', why } where Redis
  cannot write, and else { json, '', then the six of hit.lua }.
]]
local found = redis.call('HMGET', KEYS[1], 'json', 'limit', 'expires', 'revoked', 'guarded', 'moved', 'until')
local now = clock(ARGV[3])
if found[6] then
  if tonumber(found[7]) <= now then return {} end
  return { '', found[6] }
end
if not found[1] then return {} end
if found[4] or found[5] or (found[3] and tonumber(found[3]) <= now) then return { found[1] } end

local counted, failure, why = slide(KEYS[2], tonumber(found[2] or ARGV[1]), tonumber(ARGV[2]), 1, now)
if failure then return failure end
if not counted then return { found[1], '', why } end
return { found[1], '', unpack(counted) }

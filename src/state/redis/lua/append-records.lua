--[[
  Append a batch of records, and let the oldest go beyond so many bytes.

  KEYS[1]  the stream
  ARGV[1]  chain
  ARGV[2]  whole lines
  ARGV[3]  bytes that the stream may hold

  Each entry says in its field b how many bytes were appended up to it, itself
  included: what the stream holds is a difference, whatever size entries have.

  Returns the bytes that it holds now.

  With memory full Redis refuses the first write of a script that may need
  more: nothing is appended then.
]]
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local total = (newest and tonumber(newest[2][2]) or 0) + #ARGV[2]
redis.call('XADD', KEYS[1], '*', 'b', string.format('%.0f', total), 'c', ARGV[1], 'd', ARGV[2])
while true do
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  local held = total - tonumber(oldest[2][2]) + #oldest[2][6]
  local count = redis.call('XLEN', KEYS[1])
  if held <= tonumber(ARGV[3]) or count == 1 then return held end
  redis.call('XTRIM', KEYS[1], 'MAXLEN', count - 1)
end

--[[
  Count units of one subject, or none if they do not fit.

  KEYS[1]  the subject's window
  ARGV[1]  limit   units per window
  ARGV[2]  window  length of the window, ms
  ARGV[3]  cost    units; 0 counts nothing and tells what is left
  ARGV[4]  now     ms since the epoch; '' for the clock of Redis, so that
                   replicas with skewed clocks still agree

  Returns { allowed (0 or 1), limit, remaining, retry after (ms), reset (ms),
  slice }, or { why } where Redis cannot write.
]]
local counted, failure, why = slide(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), clock(ARGV[4]))
return failure or counted or { why }

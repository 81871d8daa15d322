--[[
  The packed window, for the scripts that count. Not a script of its own:
  src/state/redis/client/scripts.ts puts it in front of those.

  A window is a string of 9 bytes for every slice that is not empty, oldest
  first: 5 bytes its number since the epoch, 4 bytes its count.
  The arithmetic is that of src/core/sliding-window.ts; see there for why.
]]
local SLICES = 60

local function clock (now)
  if now ~= '' then return tonumber(now) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function leaves (slice, length, window)
  return (slice + 1) * length - 1 + window
end

-- Returns { allowed, limit, remaining, retry after, reset, slice }. When Redis is
-- right but cannot write (memory or disk full) it returns nothing: the count is
-- the caller's to make. Any other failure comes second, to be passed on: a
-- master that was demoted must not be believed.
local function slide (key, limit, window, cost, now)
  local length = math.ceil(window / SLICES)
  local packed = redis.call('GET', key) or ''
  local at, count, used = {}, {}, 0
  local newest = 0
  for i = 1, #packed, 9 do
    local slice, units = struct.unpack('>I5I4', packed, i)
    newest = slice
    if leaves(slice, length, window) > now then
      at[#at + 1] = slice
      count[#count + 1] = units
      used = used + units
    end
  end
  local slice = math.max(math.floor(now / length), newest)

  local allowed = used + cost <= limit
  if allowed and cost > 0 then
    if at[#at] == slice then
      count[#count] = count[#count] + cost
    else
      at[#at + 1] = slice
      count[#count + 1] = cost
    end
    used = used + cost
    local parts = {}
    for i = 1, #at do parts[i] = struct.pack('>I5I4', at[i], count[i]) end
    local written = redis.pcall('SET', key, table.concat(parts), 'PX', window + length)
    if type(written) == 'table' and written.err then
      if string.find(written.err, 'OOM', 1, true) or string.find(written.err, 'MISCONF', 1, true) then return nil end
      return nil, written
    end
  end

  local retry = 0
  if not allowed then
    retry = window
    if cost <= limit then
      local over = used + cost - limit
      for i = 1, #at do
        over = over - count[i]
        if over <= 0 then
          retry = math.max(1, leaves(at[i], length, window) - now)
          break
        end
      end
    end
  end
  local reset = 0
  if #at > 0 then reset = math.max(0, leaves(at[1], length, window) - now) end
  return { allowed and 1 or 0, limit, math.max(0, limit - used), retry, reset, slice }
end

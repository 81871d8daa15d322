--[[
  The packed window, for the scripts that count. Not a script of its own:
  client/scripts.ts puts it in front of those.

  A window is a string of 9 bytes for every slice that is not empty, oldest
  first: 5 bytes its number since the epoch, 4 bytes its count. In front of
  them, under the number 0, which has left every window long ago, stands the
  sum of all: while the slice is the same, nothing but the sum, the oldest
  and the newest is looked at. The sum is made anew with each new slice.
  The arithmetic is that of src/core/sliding-window.ts; see there for why.
]]
local SLICES = 60
local ENTRY = '>I5I4'
local unpackEntry, packEntry = struct.unpack, struct.pack

local function clock (now)
  if now ~= '' then return tonumber(now) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- ms until the window is clear of a slice
local function leaves (slice, length, window, now)
  return (slice + 1) * length - 1 + window - now
end

-- Returns the entries before this slice, as they were packed; their units; the
-- units of this slice; and whether some were ahead of the clock.
local function read (packed, current, length, window, now)
  local size = #packed
  if size == 0 then return '', 0, 0, false end
  local first, sum = unpackEntry(ENTRY, packed)
  local newest, units = unpackEntry(ENTRY, packed, size - 8)
  if first == 0 and newest == current then
    local at = 10
    while true do
      local slice, count = unpackEntry(ENTRY, packed, at)
      if slice == current or leaves(slice, length, window, now) > 0 then break end
      sum = sum - count
      at = at + 9
    end
    return string.sub(packed, at, size - 9), sum - units, units, false
  end
  local from, to, before, here, ahead = 1, 0, 0, 0, false
  for at = 1, size, 9 do
    local slice, count = unpackEntry(ENTRY, packed, at)
    if slice >= current then
      here = here + count
      ahead = ahead or slice > current
    elseif leaves(slice, length, window, now) > 0 then
      before = before + count
      to = at + 8
    else
      from = at + 9
    end
  end
  return string.sub(packed, from, to), before, here, ahead
end

-- ms until enough slices have left for the cost to fit; a cost over the limit never does
local function wait (body, over, current, length, window, now)
  for at = 1, #body, 9 do
    local slice, count = unpackEntry(ENTRY, body, at)
    over = over - count
    if over <= 0 then return math.max(1, leaves(slice, length, window, now)) end
  end
  return math.max(1, leaves(current, length, window, now))
end

-- Why Redis, which is right otherwise, cannot write: memory or disk full, too few replicas. nil for any other error.
local function cannotWrite (message)
  return string.match(message, 'OOM') or string.match(message, 'MISCONF') or string.match(message, 'NOREPLICAS')
end

-- Returns { allowed, limit, remaining, retry after, reset, slice }. Third comes
-- why Redis cannot write, for the count is then the caller's to make. Any other
-- failure comes second, to be passed on: a master that was demoted must not be
-- believed.
local function slide (key, limit, window, cost, now)
  local length = math.ceil(window / SLICES)
  local current = math.floor(now / length)
  local body, before, here, ahead = read(redis.call('GET', key) or '', current, length, window, now)

  local allowed = before + here + cost <= limit
  if allowed then here = here + cost end
  local used = before + here
  if allowed and cost > 0 or ahead then
    local newest = here > 0 and packEntry(ENTRY, current, here) or ''
    local written = redis.pcall('SET', key, packEntry(ENTRY, 0, used) .. body .. newest, 'PX', window + length)
    if written.err then
      local why = cannotWrite(written.err)
      if why then return nil, nil, why end
      return nil, written
    end
  end

  local retry = 0
  if not allowed then retry = cost > limit and window or wait(body, used + cost - limit, current, length, window, now) end
  local reset = 0
  if body ~= '' then
    local oldest = unpackEntry(ENTRY, body)
    reset = math.max(0, leaves(oldest, length, window, now))
  elseif here > 0 then
    reset = math.max(0, leaves(current, length, window, now))
  end
  return { allowed and 1 or 0, limit, math.max(0, limit - used), retry, reset, current }
end

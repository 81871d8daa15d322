--[[
  The packed window, for the scripts that count. Not a script of its own:
  client/scripts.ts puts it in front of those.

  A window is a string of 9 bytes for every slice that is not empty, oldest
  first: 5 bytes its number since the epoch, 4 bytes its count. In front of
  them stands the sum of all: while the slice is the same, nothing but the sum,
  the oldest and the newest is looked at. The sum is made anew with each new
  slice. Its number says how far into the newest slice the last count was made,
  in steps; no slice since 1970 has one so small, so that releases which know
  no sum take it for a slice that has left long ago.
  The arithmetic is that of src/core/sliding-window.ts; see there for why.
]]
local SLICES = 60
local ENTRY = '>I5I4'
local STEPS = 1000
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

-- the steps into a slice, rounded up; and how much sooner than at its end a slice that was last counted in there leaves, ms
local function stepsOf (now, length)
  return math.ceil(now % length / math.ceil(length / STEPS))
end

local function early (steps, length)
  return length - 1 - math.min(length - 1, steps * math.ceil(length / STEPS))
end

-- Returns the entries before this slice, as they were packed; their units; the
-- units of this slice; whether some were ahead of the clock; and how much
-- sooner than at its end leave the newest of the entries, and this slice: one
-- of them was last counted in, the other is 0.
local function read (packed, current, length, window, now)
  local size = #packed
  if size == 0 then return '', 0, 0, false, 0, 0 end
  local first, sum = unpackEntry(ENTRY, packed)
  local newest, units = unpackEntry(ENTRY, packed, size - 8)
  local sooner = first <= STEPS and early(first, length) or 0
  if first <= STEPS and newest == current then
    local at = 10
    while true do
      local slice, count = unpackEntry(ENTRY, packed, at)
      if slice == current or leaves(slice, length, window, now) > 0 then break end
      sum = sum - count
      at = at + 9
    end
    return string.sub(packed, at, size - 9), sum - units, units, false, 0, sooner
  end
  local from, to, before, here, ahead = 1, 0, 0, 0, false
  for at = 1, size, 9 do
    local slice, count = unpackEntry(ENTRY, packed, at)
    if slice >= current then
      here = here + count
      ahead = ahead or slice > current
    elseif leaves(slice, length, window, now) - (at == size - 8 and sooner or 0) > 0 then
      before = before + count
      to = at + 8
    else
      from = at + 9
    end
  end
  local ofBody = newest < current and sooner or 0
  return string.sub(packed, from, to), before, here, ahead, ofBody, sooner - ofBody
end

-- ms until a slice has left; for the newest, how much sooner than at its end
local function untilLeft (slice, sooner, length, window, now)
  return math.min(window, math.max(0, leaves(slice, length, window, now) - sooner))
end

-- ms until enough slices have left for the cost to fit; a cost over the limit never does
local function wait (body, over, ofBody, ofCurrent, current, length, window, now)
  for at = 1, #body, 9 do
    local slice, count = unpackEntry(ENTRY, body, at)
    over = over - count
    if over <= 0 then return math.max(1, untilLeft(slice, at == #body - 8 and ofBody or 0, length, window, now)) end
  end
  return math.max(1, untilLeft(current, ofCurrent, length, window, now))
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
  local body, before, here, ahead, ofBody, ofCurrent = read(redis.call('GET', key) or '', current, length, window, now)

  local allowed = before + here + cost <= limit
  if allowed then here = here + cost end
  local used = before + here
  if allowed and cost > 0 or ahead then
    local steps = here > 0 and stepsOf(now, length) or STEPS
    ofBody, ofCurrent = 0, early(steps, length)
    local newest = here > 0 and packEntry(ENTRY, current, here) or ''
    local written = redis.pcall('SET', key, packEntry(ENTRY, steps, used) .. body .. newest, 'PX', window + length)
    if written.err then
      local why = cannotWrite(written.err)
      if why then return nil, nil, why end
      return nil, written
    end
  end

  local retry = 0
  if not allowed then retry = cost > limit and window or wait(body, used + cost - limit, ofBody, ofCurrent, current, length, window, now) end
  local reset = 0
  if body ~= '' then
    local oldest = unpackEntry(ENTRY, body)
    reset = untilLeft(oldest, #body == 9 and ofBody or 0, length, window, now)
  elseif here > 0 then
    reset = untilLeft(current, ofCurrent, length, window, now)
  end
  return { allowed and 1 or 0, limit, math.max(0, limit - used), retry, reset, current }
end

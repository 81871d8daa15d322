#!lua flags=allow-oom
--[[
  Write again what a shared list lost, and number that as a change after all
  that were known.

  KEYS[1]  the list, as in change-ledger.lua
  ARGV[1]  the number of the last change that was known
  ARGV[2…] ids and entries; those that are there already stay as they are

  Returns the number of the change.
]]
for i = 2, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
local number = math.max(tonumber(redis.call('HGET', KEYS[1], '#') or 0), tonumber(ARGV[1])) + 1
redis.call('HSET', KEYS[1], '#', number)
return number

--[[
  Removes connections of one partition.

  KEYS     of each connection: itself, a hash; and, unless it is anonymous, the ids of its user's connections, a sorted set

  ARGV     of each connection: its id, and the number of its keys

  Output   of each, whether it was there: 1 or 0
]]
local removed = {}
local key = 1
for i = 1, #ARGV, 2 do
  table.insert(removed, redis.call('DEL', KEYS[key]))
  if ARGV[i + 1] == '2' then redis.call('ZREM', KEYS[key + 1], ARGV[i]) end
  key = key + ARGV[i + 1]
end
return removed

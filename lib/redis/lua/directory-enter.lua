--[[
  Enters a connection once more: Redis has lost it, or it was forgotten before it could be renewed, or Redis was away when it
  came. It keeps its place in the order of logins: it is not entered where a newer one has taken its place, or the user was
  kicked after it had come.

  KEYS[1]  fence
  KEYS[2]  mark
  KEYS[3]  the connection: hash
  KEYS[4]  stem
  KEYS[5]  ids of the user's connections by the time at which they are forgotten: sorted set. None for an anonymous one
  KEYS[6]  fence of the latest kick of the user: string. None for an anonymous one

  ARGV[1]  id of the connection
  ARGV[2]  whose place it took: 'none', 'user' or 'device'
  ARGV[3]  milliseconds until it is forgotten, unless it is renewed
  ARGV[4]  the highest fence of the partition that this node has seen
  ARGV[5]  a mark, should the partition have none
  ARGV[6]  the fence that it had; 0: it had none yet, and gets one
  ARGV[7]  milliseconds since it came
  ARGV[8]  and so on: what the hash holds, names and values in turns

  Output   { fence, world, time of Redis in milliseconds }; when it was not entered, the fence is 'login' or 'kick', which is why
]]
local fields = { unpack(ARGV, 8) }
local world = worldOf(KEYS[2], ARGV[5])
local fence = tonumber(ARGV[6])
local kick = tonumber(KEYS[6] and redis.call('GET', KEYS[6]) or 0)
-- Fences are not less than the time in microseconds: one without a fence has its time.
if kick > (fence == 0 and micros - ARGV[7] * 1000 or fence) then return { 'kick', world, now } end
if fence == 0 then fence = nextFence(KEYS[1], ARGV[4]) end
storeFence(KEYS[1], math.max(storedFence(KEYS[1], ARGV[4]), fence))

local older = inScope(KEYS[5], KEYS[4], ARGV[1], ARGV[2], fieldOf(fields, 'device'))
for _, id in ipairs(older) do
  if (tonumber(redis.call('HGET', KEYS[4] .. id, 'fence')) or 0) > fence then return { 'login', world, now } end
end
-- Should they be there still, their nodes find out that they are not.
for _, id in ipairs(older) do
  redis.call('DEL', KEYS[4] .. id)
  redis.call('ZREM', KEYS[5], id)
end
local text = string.format('%.0f', fence)
table.insert(fields, 'fence')
table.insert(fields, text)
enter(KEYS[3], KEYS[5], ARGV[1], ARGV[3], fields)
return { text, world, now }

--[[
  Enters a connection, and removes the older logins whose place it takes: one step. Not when it comes too late, as a network
  had it: who has asked has given the connection up; or one that came later may be there, of the same client even. Nor in the place
  of others, while it is not known whether its client is there; when Redis has lost its data, others may be yet to be entered again.
  Who has asked its client was there while it did so: a kick of that time ends it.

  KEYS[1]  fence
  KEYS[2]  mark
  KEYS[3]  the connection: hash
  KEYS[4]  stem
  KEYS[5]  ids of the user's connections by the time at which they are forgotten: sorted set. None for an anonymous one
  KEYS[6]  fence of the latest kick of the user: string. None for an anonymous one

  ARGV[1]  id of the connection
  ARGV[2]  whose place it takes: 'none', 'user' or 'device'
  ARGV[3]  milliseconds until it is forgotten, unless it is renewed
  ARGV[4]  the highest fence of the partition that this node has seen
  ARGV[5]  a mark, should the partition have none
  ARGV[6]  time of Redis in milliseconds after which it is too late; '': it never is
  ARGV[7]  time of Redis in milliseconds until which the connection must have come; '': that does not matter
  ARGV[8]  its client is there: the fence of the partition when that was not known; '': it is not known
  ARGV[9]  and so on: what the hash holds, names and values in turns; with the time at which it came at the earliest

  Output   { fence, world, time of Redis in milliseconds, removed entries }; when it was too late, the fence is 'late', or
           'older': the one that came later is there, which is the entry; or 'kick'; or 'taken': others are, or may be, and its
           client may not be. Then the world is the fence of the partition
]]
if ARGV[6] ~= '' and now > tonumber(ARGV[6]) then return { 'late', '', now, {} } end
local askedAt = tonumber(ARGV[8])
if askedAt and KEYS[6] and tonumber(redis.call('GET', KEYS[6]) or 0) > askedAt then return { 'kick', '', now, {} } end
local fields = { unpack(ARGV, 9) }
local others = inScope(KEYS[5], KEYS[4], ARGV[1], ARGV[2], fieldOf(fields, 'device'))
local latest = tonumber(ARGV[7])
if latest then
  for _, id in ipairs(others) do
    local came = tonumber(redis.call('HGET', KEYS[4] .. id, 'came') or '')
    -- In the future: the clock was set back since.
    if came and came > latest and came <= now then
      return { 'older', string.format('%.0f', storedFence(KEYS[1], ARGV[4])), now, { entryOf(KEYS[4], id) } }
    end
  end
end
local world = worldOf(KEYS[2], ARGV[5])
if not askedAt and KEYS[5] and ARGV[2] ~= 'none' then
  local since = tonumber(string.match(world, '^%S+ (%d+)')) or 0
  if #others > 0 or now < since + ARGV[3] then
    return { 'taken', string.format('%.0f', storedFence(KEYS[1], ARGV[4])), now, {} }
  end
end
local removed = {}
for _, id in ipairs(others) do
  table.insert(removed, entryOf(KEYS[4], id))
  redis.call('DEL', KEYS[4] .. id)
  redis.call('ZREM', KEYS[5], id)
end
local fence = storeFence(KEYS[1], nextFence(KEYS[1], ARGV[4]))
table.insert(fields, 'fence')
table.insert(fields, fence)
enter(KEYS[3], KEYS[5], ARGV[1], ARGV[3], fields)
return { fence, world, now, removed }

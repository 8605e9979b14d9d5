-- Keeps a message for a user. What has ended makes room first; beyond the limit the oldest goes.
--
-- KEYS[1] stream of the user's messages
-- KEYS[2] sorted set of their ends
-- ARGV[1] payload
-- ARGV[2] milliseconds for which it is kept, 0: for ever
-- ARGV[3] messages at most
-- ARGV[4] a random whole number, for the second half of its id
--
-- Output: { id, how many had ended, how many the limit has cost }

local stream, expiry = KEYS[1], KEYS[2]
local now = now_ms()
local expired = drop_expired(stream, expiry, now)

-- With a random part, an id does not come again even when the stream, or the data of Redis, was lost and its clock went back.
-- It is refused when it is not behind the last one, of this millisecond or of a clock that was ahead: then Redis counts on.
local id = redis.pcall('XADD', stream, string.format('%.0f-', now) .. ARGV[4], 'p', ARGV[1])
if type(id) == 'table' then id = redis.call('XADD', stream, '*', 'p', ARGV[1]) end

local ttl = tonumber(ARGV[2])
if ttl > 0 then redis.call('ZADD', expiry, string.format('%.0f', now + ttl), id) end

local evicted = 0
local excess = redis.call('XLEN', stream) - tonumber(ARGV[3])
while excess > evicted do
  local ids = {}
  for i, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(excess - evicted, CHUNK))) do ids[i] = entry[1] end
  evicted = evicted + remove(stream, expiry, ids)
end

set_end(stream, expiry, now)
return { id, expired, evicted }

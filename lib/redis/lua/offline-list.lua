-- The messages of a user that have not ended, oldest first.
--
-- KEYS[1] stream of the user's messages
-- KEYS[2] sorted set of their ends
-- ARGV[1] where to begin, as XRANGE has it
-- ARGV[2] messages at most
--
-- Output: { how many had ended, { { id, { 'p', payload } }, ... } }

local expired = drop_expired(KEYS[1], KEYS[2], now_ms())
return { expired, redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2]) }

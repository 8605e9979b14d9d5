-- Forgets messages of a user.
--
-- KEYS[1] stream of the user's messages
-- KEYS[2] sorted set of their ends
-- ARGV    their ids
--
-- Output: how many there were

local removed = remove(KEYS[1], KEYS[2], ARGV)
if removed > 0 then set_end(KEYS[1], KEYS[2], now_ms()) end
return removed

-- A token bucket that may go into debt: what is parsed is handled, and the debt is paid by not reading.
-- Pure (time is an argument); one per shard stream, called by streams.lib.lua.

-- rate: stanzas a second; burst: stanzas at once; now: seconds.
local function new(burst, now)
	return { level = burst, at = now };
end

-- Take one token. Returns the seconds for which the stream should not be read, or nil.
local function take(bucket, rate, burst, now)
	local level = bucket.level + (now - bucket.at) * rate;
	if level > burst then level = burst; end
	level = level - 1;
	bucket.level, bucket.at = level, now;
	if level < 0 then
		return -level / rate;
	end
end

return { new = new; take = take };

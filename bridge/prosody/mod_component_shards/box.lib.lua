-- What is on its way to one stream: the window (numbered, written, not yet acknowledged) and behind it the
-- queue (not written yet). Pure; book.lib.lua keeps one per owner and writes every change to the journal.
--
-- Window numbers are first..next-1; a number is given when a stanza leaves the queue. Queue positions only
-- grow (or grow downwards in front), so that the journal can name an entry. Entries are kept in columns, not as
-- tables of their own: a long queue then costs the garbage collector little.

local function new()
	return { first = 1; next = 1; xml = {}; at = {}; bytes = 0;
		queue = nil; q_first = 1; q_last = 0; waiting = 0; q_bytes = 0; latest = nil; };
end

-- Put a stanza (its text) into the window; returns its number. false stands for a gap.
local function push(box, at, xml)
	local n = box.next;
	box.xml[n], box.at[n], box.next = xml, at, n + 1;
	if xml then box.bytes = box.bytes + #xml; end
	return n;
end

-- Drop the window up to and including number h. Returns how many stanzas and bytes left, or nil when h was
-- never written. An old or repeated h is harmless.
local function ack(box, h)
	if h >= box.next then return nil; end
	local xml, at, count, bytes = box.xml, box.at, 0, 0;
	for n = box.first, h do
		local text = xml[n];
		if text then count, bytes = count + 1, bytes + #text; end
		xml[n], at[n] = nil, nil;
	end
	if h >= box.first then box.first = h + 1; end
	box.bytes = box.bytes - bytes;
	return count, bytes;
end

-- Make number n a gap; leading gaps need no mention and are skipped. Returns the text that was there.
local function gap(box, n)
	local xml = box.xml;
	local text = xml[n];
	if not text then return nil; end
	xml[n], box.bytes = false, box.bytes - #text;
	while box.first < box.next and xml[box.first] == false do
		xml[box.first], box.at[box.first] = nil, nil;
		box.first = box.first + 1;
	end
	return text;
end

local function unacked(box)
	return box.next - box.first;
end

-- The position behind the last entry, and the one in front of the first.
local function tail(box) return box.q_last + 1; end
local function front(box) return box.q_first - 1; end

-- Put an entry at an end of the queue (position from `tail` or `front`). A key makes it findable by `named`; kind
-- UNKNOWN is for what was not looked at yet.
local UNKNOWN = "unknown";
local function enqueue(box, position, at, kind, key, xml)
	local queue = box.queue;
	if not queue then
		queue = { xml = {}, at = {}, kind = {}, key = {} };
		box.queue, box.q_first, box.q_last = queue, position, position;
	end
	queue.xml[position], queue.at[position] = xml, at;
	if kind ~= UNKNOWN then queue.kind[position] = kind; end
	if position < box.q_first then box.q_first = position; end
	if position > box.q_last then box.q_last = position; end
	box.waiting, box.q_bytes = box.waiting + 1, box.q_bytes + #xml;
	if key ~= "" then
		queue.key[position] = key;
		box.latest = box.latest or {};
		box.latest[key] = position;
	end
end

-- The position of the entry that waits under `key`, or nil.
local function named(box, key)
	return box.latest and box.latest[key];
end

-- What is at a position: xml, at, kind, key; or nil.
local function entry(box, position)
	local queue = box.queue;
	local xml = queue and queue.xml[position];
	if xml then return xml, queue.at[position], queue.kind[position] or UNKNOWN, queue.key[position] or ""; end
end

-- Note the kind of an entry that was looked at.
local function know(box, position, kind)
	box.queue.kind[position] = kind;
end

-- Take an entry out of the queue; returns it as `entry` does.
local function remove(box, position)
	local xml, at, kind, key = entry(box, position);
	if not xml then return nil; end
	local queue = box.queue;
	queue.xml[position], queue.at[position] = nil, nil;
	if kind ~= UNKNOWN then queue.kind[position] = nil; end
	box.waiting, box.q_bytes = box.waiting - 1, box.q_bytes - #xml;
	if key ~= "" then
		queue.key[position] = nil;
		if box.latest[key] == position then box.latest[key] = nil; end
	end
	if box.waiting == 0 then
		box.queue, box.latest, box.q_first = nil, nil, box.q_last + 1;
	else
		while not queue.xml[box.q_first] do box.q_first = box.q_first + 1; end
	end
	return xml, at, kind, key;
end

-- The position at the head of the queue, or nil.
local function head(box)
	return box.queue and box.q_first;
end

-- Iterate over position, xml, at, kind, key in order; entries may be removed meanwhile.
local function entries(box)
	local position, last = box.q_first - 1, box.q_last;
	return function ()
		while box.queue and position < last do
			position = position + 1;
			if box.queue.xml[position] then return position, entry(box, position); end
		end
	end
end

-- Move the unacknowledged window back in front of the queue, downwards from `position` (a stream without numbers
-- follows): nothing that was written to the old one is known to have arrived.
local function unwind(box, position)
	for n = box.next - 1, box.first, -1 do
		local text, at = box.xml[n], box.at[n];
		box.xml[n], box.at[n] = nil, nil;
		if text then
			enqueue(box, position, at, UNKNOWN, "", text);
			position = position - 1;
		end
	end
	box.first, box.bytes = box.next, 0;
end

return {
	new = new; push = push; ack = ack; gap = gap; unacked = unacked; tail = tail; front = front;
	enqueue = enqueue; named = named; UNKNOWN = UNKNOWN; remove = remove; head = head; entry = entry; know = know;
	entries = entries; unwind = unwind;
};

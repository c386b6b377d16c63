-- Private iq ids: two shards may ask the same server at the same time, and neither can fish for the other's
-- answers. Pure (randomness is an argument); one per component host, called by router.lib.lua.
local cache = require "util.cache";

-- prefix: what makes our ids unguessable and unlike anybody's, new at each start. size: pending iqs; beyond it
-- the oldest is forgotten (its answer is dropped, the shard's own timeout speaks).
local function new(prefix, size)
	return { prefix = prefix; count = 0; pending = cache.new(size); };
end

-- Give an outgoing iq (get or set) a private id; `owner` and `epoch` will get the answer.
local function hide(ids, stanza, owner, epoch, sent_from)
	ids.count = ids.count + 1;
	local id = ids.prefix .. ("%x"):format(ids.count);
	local attr = stanza.attr;
	ids.pending:set(id, { owner = owner, epoch = epoch, id = attr.id, peer = attr.to, from = sent_from or attr.from });
	attr.id = id;
end

-- For an iq answer: nil if its id is none of ours; else true and what was asked ({ owner, epoch }), with the id
-- and the address put back, or true alone when the answer comes too late, twice or from somebody else.
local function reveal(ids, stanza)
	local attr = stanza.attr;
	local id = attr.id;
	if not id or id:sub(1, #ids.prefix) ~= ids.prefix then return nil; end
	local asked = ids.pending:get(id);
	if not asked or (attr.from and attr.from ~= asked.peer) then return true; end
	ids.pending:set(id, nil);
	attr.id, attr.to = asked.id, asked.from;
	return true, asked;
end

return { new = new; hide = hide; reveal = reveal; };

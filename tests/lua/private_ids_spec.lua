-- Private iq ids.
local support = dofile "tests/lua/support.lua";
local private_ids = support.lib "private_ids";
local stanza = support.stanza;

local function ask(ids, owner, peer)
	local iq = stanza(("<iq type='get' id='same' from='wa.test' to='%s'/>"):format(peer or "example.test"));
	private_ids.hide(ids, iq, owner, 1);
	return iq.attr.id;
end

local function answer(id, from)
	local sender = from and (" from='%s'"):format(from) or "";
	return stanza(("<iq type='result' id='%s' to='wa.test'%s/>"):format(id, sender));
end

describe("private ids", function ()
	it("tell two owners apart who used the same id", function ()
		local ids = private_ids.new("p-", 10);
		local of_a, of_b = ask(ids, "a@b"), ask(ids, "b@b");
		assert.not_equal(of_a, of_b);
		local reply = answer(of_b, "example.test");
		local ours, asked = private_ids.reveal(ids, reply);
		assert.same({ true, "b@b", "same", "wa.test" }, { ours, asked.owner, reply.attr.id, reply.attr.to });
	end);
	it("put back the address that the shard used", function ()
		local ids = private_ids.new("p-", 10);
		local iq = stanza "<iq type='get' id='x' from='u-1@wa.test' to='up.test'/>";
		private_ids.hide(ids, iq, "a@b", 1, "wa.test");
		local reply = answer(iq.attr.id, "up.test");
		private_ids.reveal(ids, reply);
		assert.equal("wa.test", reply.attr.to);
	end);
	it("leave other answers alone", function ()
		local ids = private_ids.new("p-", 10);
		assert.is_nil((private_ids.reveal(ids, answer("same", "example.test"))));
		assert.is_nil((private_ids.reveal(ids, stanza "<iq type='result'/>")));
	end);
	it("take an answer once only", function ()
		local ids = private_ids.new("p-", 10);
		local id = ask(ids, "a@b");
		private_ids.reveal(ids, answer(id, "example.test"));
		assert.same({ true, nil }, { private_ids.reveal(ids, answer(id, "example.test")) });
	end);
	it("take an answer from the one who was asked only, and still afterwards", function ()
		local ids = private_ids.new("p-", 10);
		local id = ask(ids, "a@b");
		assert.same({ true, nil }, { private_ids.reveal(ids, answer(id, "evil.test")) });
		assert.is_truthy(select(2, private_ids.reveal(ids, answer(id, "example.test"))));
	end);
	it("take an answer without a sender (the server's own)", function ()
		local ids = private_ids.new("p-", 10);
		assert.is_truthy(select(2, private_ids.reveal(ids, answer(ask(ids, "a@b")))));
	end);
	it("forget the oldest beyond their number", function ()
		local ids = private_ids.new("p-", 3);
		local first = ask(ids, "a@b");
		local second = ask(ids, "a@b");
		for _ = 1, 2 do ask(ids, "a@b"); end
		assert.is_nil((select(2, private_ids.reveal(ids, answer(first, "example.test")))));
		assert.is_truthy((select(2, private_ids.reveal(ids, answer(second, "example.test")))));
	end);
end);

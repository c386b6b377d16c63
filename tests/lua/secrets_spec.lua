-- Stream headers and derived secrets.
local support = dofile "tests/lua/support.lua";
local secrets = support.lib "secrets";

local function header(fields)
	local attr = {};
	for name, value in pairs(fields) do
		attr[(name == "from" or name == "to") and name or secrets.xmlns .. "\1" .. name] = value;
	end
	return secrets.claim(attr);
end

describe("a derived secret", function ()
	it("is the specification's for a shard", function ()
		assert.equal("b00ad758ac45ffed5ab568b8df3328f4821f5e9a6d00984d6b42b160694c23ca",
			secrets.derive("m", "wa.test", "shard", "alice@example.test", 7));
	end);
	it("is the specification's for the front desk", function ()
		assert.equal("260e4da8cd3744642ae1c25eb7c430ed31bdc7ce5057e478ba463cb6a18d26b0",
			secrets.derive("m", "wa.test", "gateway", "", 3));
	end);
	it("gives the specification's handshake", function ()
		local secret = secrets.derive("m", "wa.test", "shard", "alice@example.test", 7);
		assert.equal("6744a6ae75a70c88733498bcade50f560cf9ed07", secrets.token("id", secret));
	end);
	it("differs when any of its parts differs", function ()
		local parts = { "m", "wa.test", "shard", "alice@example.test", 7 };
		local other = { "n", "wb.test", "gateway", "bob@example.test", 8 };
		local seen = { [secrets.derive(table.unpack(parts))] = true };
		for i = 1, 5 do
			local changed = { table.unpack(parts) };
			changed[i] = other[i];
			local secret = secrets.derive(table.unpack(changed));
			assert.is_nil(seen[secret]);
			seen[secret] = true;
		end
	end);
end);

describe("a stream header", function ()
	it("claims a shard with everything in it", function ()
		assert.same({ role = "shard", owner = "alice@example.test", epoch = 7, instance = "pod-1", acks = true,
			cursor_gen = "5f0c", cursor_n = 42 },
			header{ from = "alice@example.test", epoch = "7", instance = "pod-1", acks = "1", cursor = "5f0c:42" });
	end);
	it("claims the front desk when there is no from", function ()
		assert.same({ role = "gateway", owner = "", epoch = 0, instance = "", acks = false }, header{});
	end);
	it("prepares the owner's address", function ()
		assert.equal("alice@example.test", header{ from = "Alice@EXAMPLE.test", epoch = "1" }.owner);
	end);
	it("takes a generation that has a colon in it", function ()
		local claim = header{ from = "a@b", epoch = "1", cursor = "x:y:3" };
		assert.same({ "x:y", 3 }, { claim.cursor_gen, claim.cursor_n });
	end);

	local REFUSED = {
		["an unknown role"] = { { role = "king" }, "bad-format" },
		["a shard without an epoch"] = { { from = "a@b" }, "bad-format" },
		["epoch 0 for a shard"] = { { from = "a@b", epoch = "0" }, "bad-format" },
		["a negative epoch"] = { { from = "a@b", epoch = "-1" }, "bad-format" },
		["an epoch that is no integer"] = { { from = "a@b", epoch = "1.5" }, "bad-format" },
		["a hexadecimal epoch"] = { { from = "a@b", epoch = "0x10" }, "bad-format" },
		["an epoch of 16 digits"] = { { from = "a@b", epoch = ("9"):rep(16) }, "bad-format" },
		["a bad epoch of the front desk"] = { { epoch = "x" }, "bad-format" },
		["an instance of 65 characters"] = { { from = "a@b", epoch = "1", instance = ("i"):rep(65) }, "bad-format" },
		["a cursor without a number"] = { { from = "a@b", epoch = "1", cursor = "gen" }, "bad-format" },
		["a full JID"] = { { from = "a@b/c", epoch = "1" }, "improper-addressing" },
		["a host as owner"] = { { from = "b", epoch = "1" }, "improper-addressing" },
		["an owner that cannot be prepared"] = { { from = "a b@c", epoch = "1" }, "improper-addressing" },
		["a shard role without owner"] = { { role = "shard", epoch = "1" }, "improper-addressing" },
	};
	for what, case in pairs(REFUSED) do
		it("is refused for " .. what, function ()
			local claim, condition, text = header(case[1]);
			assert.is_nil(claim);
			assert.equal(case[2], condition);
			assert.is_string(text);
		end);
	end
	it("may have an epoch of 15 digits and an instance of 64 characters", function ()
		local claim = header{ from = "a@b", epoch = ("9"):rep(15), instance = ("i"):rep(64) };
		assert.equal(999999999999999, claim.epoch);
	end);
end);

describe("the proof", function ()
	local shard = { role = "shard", owner = "alice@example.test", epoch = 7 };
	local function token(master, who)
		return secrets.token("sid", secrets.derive(master, "wa.test", who.role, who.owner, who.epoch));
	end
	it("holds for the derived secret, in any case of letters", function ()
		assert.equal("derived", secrets.verify(token("m", shard):upper(), shard, "wa.test", "sid", { "m" }));
	end);
	it("holds for the previous master secret while rotating", function ()
		assert.equal("derived", secrets.verify(token("old", shard), shard, "wa.test", "sid", { "new", "old" }));
	end);
	it("fails for another owner, another epoch, another master, another stream", function ()
		local others = { { role = "shard", owner = "bob@example.test", epoch = 7 },
			{ role = "shard", owner = "alice@example.test", epoch = 8 } };
		for _, who in ipairs(others) do
			assert.is_nil(secrets.verify(token("m", who), shard, "wa.test", "sid", { "m" }));
		end
		assert.is_nil(secrets.verify(token("x", shard), shard, "wa.test", "sid", { "m" }));
		assert.is_nil(secrets.verify(token("m", shard), shard, "wa.test", "sid2", { "m" }));
	end);
	it("takes the plain secret from the front desk only", function ()
		local desk = { role = "gateway", owner = "", epoch = 0 };
		local plain = secrets.token("sid", "s");
		assert.equal("plain", secrets.verify(plain, desk, "wa.test", "sid", {}, "s"));
		assert.is_nil(secrets.verify(plain, shard, "wa.test", "sid", {}, "s"));
	end);
	it("fails for an empty token", function ()
		assert.is_nil(secrets.verify("", shard, "wa.test", "sid", { "m" }, "s"));
	end);
end);

describe("an opaque id", function ()
	it("depends on key, domain and owner and shows none of them", function ()
		local id = secrets.opaque("k", "wa.test", "alice@example.test");
		assert.matches("^%x+$", id);
		assert.equal(16, #id);
		for _, other in ipairs{ { "l", "wa.test", "alice@example.test" }, { "k", "wb.test", "alice@example.test" },
			{ "k", "wa.test", "bob@example.test" } } do
			assert.not_equal(id, secrets.opaque(table.unpack(other)));
		end
	end);
end);

-- Which stream may speak for an owner: a table over epochs. Pure; called when a stream has proved itself and
-- when the control plane assigns. The highest epoch ever seen stays on disk (book.lib.lua).

local FENCED = "fenced: a newer epoch has connected";
local HELD = "another instance holds this epoch";
local RELEASED = "fenced: this epoch was released";

-- [newcomer's epoch against the highest seen][who is connected now]
local TABLE = {
	higher = { nobody = "accept", same = "replace", other = "replace" };
	equal = { nobody = "accept", same = "replace", other = HELD };
	lower = { nobody = FENCED, same = FENCED, other = FENCED };
};

local function compare(epoch, held)
	return epoch > held and "higher" or epoch == held and "equal" or "lower";
end

-- held: { epoch, instance, released } or nil (never seen); connected: whether a stream is open for it.
-- Returns "accept" or "replace" (close the open stream first), or nil and the text of the conflict.
local function judge(held, connected, epoch, instance)
	if not held then
		return "accept";
	end
	local order = compare(epoch, held.epoch);
	if held.released and order == "equal" then
		return nil, RELEASED;
	end
	local present = "nobody";
	if connected then
		present = (instance ~= "" and instance == held.instance) and "same" or "other";
	end
	local verdict = TABLE[order][present];
	if verdict == "accept" or verdict == "replace" then
		return verdict;
	end
	return nil, verdict;
end

-- Whether the control plane may assign `epoch`: not below what was seen, and above what was released.
local function assignable(held, epoch)
	if not held then
		return true;
	end
	local order = compare(epoch, held.epoch);
	return order == "higher" or (order == "equal" and not held.released);
end

return { judge = judge; assignable = assignable };

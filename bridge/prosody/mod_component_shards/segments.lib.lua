-- Where the journal's segments live on disk: <data path>/<host>/component_shards.<number>.log
-- The driver of journal.lib.lua; called by mod_component_shards.lua when a host is loaded.
local lfs = require "lfs";

-- fsync of an open file through lua-posix, or nil when it is not installed for this Lua.
local function posix_sync()
	local have_unistd, unistd = pcall(require, "posix.unistd");
	local have_stdio, stdio = pcall(require, "posix.stdio");
	if not (have_unistd and have_stdio) then return nil; end
	return function (file)
		local ok, err = unistd.fsync(stdio.fileno(file));
		return ok == 0 or nil, err;
	end
end

-- folder must exist; sync as journal.lib.lua wants it, or nil.
local function new(folder, sync)
	local function path(number)
		return ("%s/component_shards.%08d.log"):format(folder, number);
	end
	return {
		sync = sync;
		list = function ()
			local numbers = {};
			for name in lfs.dir(folder) do
				local number = name:match("^component_shards%.(%d+)%.log$");
				if number then numbers[#numbers + 1] = math.tointeger(tonumber(number)); end
			end
			return numbers;
		end;
		open = function (number, mode) return io.open(path(number), mode); end;
		remove = function (number) return os.remove(path(number)); end;
	};
end

return { new = new; posix_sync = posix_sync; };

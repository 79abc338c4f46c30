-- wrk sends the signed requests of a file, one after the other, again and again.
local requests, count, at = {}, 0, 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   for length in file:lines() do
      count = count + 1
      requests[count] = file:read(tonumber(length))
   end
   file:close()
end

function request()
   at = at % count + 1
   return requests[at]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50_ms": %.4f, "p99_ms": %.4f}\n',
      summary.requests, summary.duration / 1e6, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end

-- wrk: a small chat request, as an OpenAI client sends it (argument "openai") or as the upstream
-- takes it ("anthropic").
local bodies = {
  openai = '{"model":"claude-haiku-5-5","max_tokens":64,"messages":[{"role":"user","content":"Is Santa real?"}]}',
  anthropic = '{"model":"claude-haiku-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"Is Santa real?"}]}',
}
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer bench"
wrk.headers["x-api-key"] = nil

function init(args)
  wrk.body = bodies[args[1]]
  if args[1] == "anthropic" then
    wrk.headers["anthropic-version"] = "2026-10-21"
  end
end

local bad = 0
function response(status)
  if status ~= 200 then bad = bad + 1 end
end

function done(summary, latency)
  io.write(string.format("BENCH %.0f %.0f %.0f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end

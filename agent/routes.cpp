#include "agent/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/metrics.h"
#include "agent/status.h"
#include "agent/text.h"
#include "agent/web_files.h"
#include "config/duration.h"

namespace ringagent {
namespace {

using Parameters = std::multimap<std::string, std::string>;

constexpr const char* kJson = "application/json";
constexpr const char* kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

HttpAnswer plain(int status, const std::string& line) {
  return {status, HttpAnswer{}.type, line + "\n"};
}
HttpAnswer yes(const std::string& line) {
  return plain(200, line);
}
HttpAnswer no(const std::string& line) {
  return plain(503, line);
}
HttpAnswer wrong(const std::string& line) {
  return plain(400, line);
}

std::int64_t ms(Duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

const std::string* parameter(const Parameters& parameters, const char* name) {
  const auto it = parameters.find(name);
  return it == parameters.end() ? nullptr : &it->second;
}

// A whole number, or nothing if the text is none.
std::optional<std::uint64_t> whole(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

HttpAnswer history(const Parameters& parameters, const RouteContext& context) {
  std::uint64_t count = kHistoryDefault;
  std::uint64_t after = 0;
  for (const auto& [name, target] : {std::pair{"n", &count}, std::pair{"after", &after}}) {
    const std::string* text = parameter(parameters, name);
    if (!text) continue;
    const auto value = whole(*text);
    if (!value) return wrong(fmt::format("{} is not a whole number: /history?n=20&after=0", name));
    *target = *value;
  }
  if (!context.local) count = std::min<std::uint64_t>(count, History::kTailEntries);
  std::string body = "[";
  const char* before = "\n";
  for (const auto& line : context.history->last(count, after)) {
    body += before + line;
    before = ",\n";
  }
  return {200, kJson, body + "\n]\n"};
}

// The questions of load balancers. Each says why not in one line.
HttpAnswer health(const Snapshot& s) {
  if (s.self_in && s.self_up) return yes("in the ring, MySQL is up");
  return no(s.self_why.empty() ? "not in the ring" : s.self_why);
}

HttpAnswer writable(const Snapshot& s) {
  if (s.self_writable) return yes("writable");
  return no(s.self_why.empty() ? "not writable" : s.self_why);
}

HttpAnswer readable(const Parameters& parameters, const Snapshot& s) {
  const std::string* limit = parameter(parameters, "max_lag");
  const auto max_lag = limit ? parse_duration(*limit) : Result<Duration>(Duration::max());
  if (!max_lag) return wrong("max_lag: " + max_lag.error().text);
  if (!s.self_up) return no(s.self_why.empty() ? "MySQL is not up" : s.self_why);
  if (!limit) return yes("readable");
  if (!s.self_lag_ms) return no("the lag is not known");
  const std::string lag = human_duration(*s.self_lag_ms) + " behind";
  return *s.self_lag_ms <= ms(*max_lag) ? yes("readable, " + lag) : no(lag + ", more than " + *limit);
}

HttpAnswer ask_health(const std::string& path, const Parameters& parameters, const RouteContext& context) {
  if (context.age > kStaleAfter) {
    return no("the agent has not looked for " + human_duration(ms(context.age)));
  }
  if (path == "/health") return health(*context.snapshot);
  return path == "/writable" ? writable(*context.snapshot) : readable(parameters, *context.snapshot);
}

}  // namespace

HttpAnswer answer_get(const std::string& path, const Parameters& parameters, const RouteContext& context) {
  if (path == "/history") return history(parameters, context);
  if (path == "/events" && !context.local) return {200, "text/event-stream", "", true};
  if (const WebFile* file = web_file(path)) return {200, file->type, std::string(file->text)};
  const bool asks_health = path == "/health" || path == "/writable" || path == "/readable";
  const bool known = asks_health || path == "/status" || path == "/metrics" || (path == "/plan" && context.local);
  if (!known)
    return plain(404, "no such page; there are / /status /metrics /health /writable /readable /history /events");
  if (!context.snapshot) return no("the agent is starting");
  if (asks_health) return ask_health(path, parameters, context);
  if (path == "/status") return {200, kJson, status_json(*context.snapshot, ms(context.age))};
  if (path == "/plan") return {200, kJson, plan_json(*context.snapshot)};
  const double age_s = static_cast<double>(context.age.count()) / 1e6;
  return {200, kPrometheus, metrics_text(*context.snapshot, age_s)};
}

std::string news_event(const RouteContext& context) {
  if (!context.snapshot) return ": the agent is starting\n\n";
  return fmt::format("event: history\ndata: {}\n\nevent: status\ndata: {}\n\n", context.history->last_seq(),
                     status_line(*context.snapshot, 0));
}

std::string beat_event(const RouteContext& context) {
  return fmt::format(": beat\nevent: beat\ndata: {{\"age_ms\": {}}}\n\n", ms(context.age));
}

}  // namespace ringagent

#include "mysql/server.h"

#include <cstdlib>

namespace ringagent {

const char* to_string(Flavor flavor) {
  switch (flavor) {
    case Flavor::mariadb:
      return "mariadb";
    case Flavor::mysql:
      return "mysql";
    case Flavor::unknown:
      break;
  }
  return "unknown";
}

const char* to_string(IoState state) {
  switch (state) {
    case IoState::running:
      return "running";
    case IoState::connecting:
      return "connecting";
    case IoState::stopped:
      break;
  }
  return "stopped";
}

const char* to_string(SqlErrorKind kind) {
  switch (kind) {
    case SqlErrorKind::refused:
      return "refused";
    case SqlErrorKind::unreachable:
      return "unreachable";
    case SqlErrorKind::lost:
      return "lost";
    case SqlErrorKind::timeout:
      return "timeout";
    case SqlErrorKind::denied:
      return "denied";
    case SqlErrorKind::server:
      return "server";
    case SqlErrorKind::missing:
      return "missing";
  }
  return "unknown";
}

const std::string* ServerState::variable(std::string_view name) const {
  for (const auto& [key, value] : variables)
    if (key == name) return &value;
  return nullptr;
}

bool same_start(const ServerState& before, const ServerState& after) {
  if (before.pid != 0 && after.pid != 0 && before.pid != after.pid) return false;
  if (std::abs(before.started_unix_s - after.started_unix_s) > kStartTolerance_s) return false;
  const auto had_run = static_cast<std::int64_t>(before.uptime_s);
  const bool young = had_run >= 0 && had_run <= kStartTolerance_s + 1;
  return before.started_unix_s == after.started_unix_s || !young ||
         static_cast<std::int64_t>(after.uptime_s) >= had_run;
}

const Link* ServerState::link() const {
  for (const Link& candidate : links)
    if (candidate.channel.empty()) return &candidate;
  return nullptr;
}

}  // namespace ringagent

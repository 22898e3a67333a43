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
  constexpr std::int64_t kTolerance_s = 2;  // whole seconds of two clocks
  constexpr std::uint64_t kJustStarted_s = 5;
  if (before.pid != 0 && after.pid != 0 && before.pid != after.pid) return false;
  if (std::abs(before.started_unix_s - after.started_unix_s) > kTolerance_s) return false;
  return after.uptime_s >= before.uptime_s || after.uptime_s > kJustStarted_s;
}

const Link* ServerState::link() const {
  for (const Link& candidate : links)
    if (candidate.channel.empty()) return &candidate;
  return nullptr;
}

}  // namespace ringagent

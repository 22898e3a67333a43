#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/history.h"
#include "agent/snapshot.h"
#include "config/types.h"

// What each address of the HTTP API answers. No sockets here: a path in, a status and a body out.
//
//   /status  /metrics  /history?n=20&after=17            what is known
//   /health  /writable  /readable?max_lag=2s             200 or 503 and one line why: for HAProxy, Consul,
//   keepalived /plan                                                on the unix socket only
//
// Rules:
//  - everything is read-only; what changes something is a command, and those come over the unix socket alone;
//  - a snapshot older than kStaleAfter answers no health question with 200: whoever cannot look does not
//  vouch.
namespace ringagent {

inline constexpr Duration kStaleAfter = 5s;
inline constexpr std::size_t kHistoryDefault = 20;

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

struct RouteContext {
  std::shared_ptr<const Snapshot> snapshot;  // null: the loop has not reported yet
  Duration age{0};                           // of the snapshot
  const History* history = nullptr;
  bool local = false;  // asked over the unix socket
};

HttpAnswer answer_get(const std::string& path, const std::multimap<std::string, std::string>& parameters,
                      const RouteContext& context);

}  // namespace ringagent

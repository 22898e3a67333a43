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
//   /health  /writable  /readable?max_lag=2s             200 or 503 and one line why: for HAProxy, Consul, keepalived
//   /  and what the page there loads                     for a person
//   /events                                              server-sent events, on TCP only
//   /plan                                                on the unix socket only
//
// Rules:
//  - everything is read-only; what changes something is a command, and those come over the unix socket alone;
//  - a snapshot older than kStaleAfter answers no health question with 200: whoever cannot look does not
//  vouch;
//  - over TCP the history is at most the newest History::kTailEntries entries, which are in memory: nobody out there can
//  keep the disk or the loop busy.
namespace ringagent {

inline constexpr Duration kStaleAfter = 5s;
inline constexpr std::size_t kHistoryDefault = 20;

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  bool stream = false;  // /events: `news_event` now and at each change
};

struct RouteContext {
  std::shared_ptr<const Snapshot> snapshot;  // null: the loop has not reported yet
  Duration age{0};                           // of the snapshot
  const History* history = nullptr;
  bool local = false;  // asked over the unix socket
};

HttpAnswer answer_get(const std::string& path, const std::multimap<std::string, std::string>& parameters,
                      const RouteContext& context);

// What a stream is told. The news: `event: history`, whose data is the newest seq, and `event: status`, whose data is
// the status document on one line, age_ms 0; both only change when something has. The beat, for a ring at rest: a
// comment, and `event: beat` with {"age_ms": N}, so that a page can tell an agent that hangs and a line that is cut.
std::string news_event(const RouteContext& context);
std::string beat_event(const RouteContext& context);

}  // namespace ringagent

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/http_request.h"
#include "config/types.h"

// The TCP door of the HTTP API: sockets, and the patience that each of them gets.
//
// Intuition: a load balancer asks here whether a node may be written to, and takes it out if nobody answers. So whoever
// can reach the port must not be able to keep the next one waiting, neither by silence nor by number. One thread waits
// on all connections at once, so a slow client costs a slot and no thread; and when the slots are used up, the one that
// has had its slot for longest gives it to the newcomer.
//
// Bounds: kConnectionsMax connections, of which kStreamsMax may be streams (503 beyond); a head has to arrive within
// kHeadWithin, byte by byte or at once (408), an answer has to be taken within kAnswerWithin; one request a connection.
// A stream has at most one text on its way; what changes meanwhile is told as it is then. One that has not taken its
// text within kStreamWithin is dropped, and so is one that says anything more. Every kBeat each stream gets a sign
// of life, so that its reader can tell a ring at rest from a line that is cut.
namespace ringagent {

class HttpFront {
 public:
  static constexpr std::size_t kConnectionsMax = 64;
  static constexpr std::size_t kStreamsMax = 8;
  static constexpr Duration kHeadWithin = 3s;
  static constexpr Duration kAnswerWithin = 5s;
  static constexpr Duration kStreamWithin = 5s;
  static constexpr Duration kBeat = 2s;

  struct Answer {
    int status = 200;
    std::string type;
    std::string body;
    bool stream = false;  // `body` is not looked at: Handlers::news is told, now and at each change
  };
  // All are called on the thread of the door, and must not wait for anybody.
  struct Handlers {
    std::function<Answer(const HttpRequest&)> answer;
    std::function<std::string()>
        news;  // what streams should know now, as server-sent events; equal text is not repeated
    std::function<std::string()> beat;  // the sign of life
  };

  static Result<std::unique_ptr<HttpFront>> start(const Address& address, Handlers handlers);
  ~HttpFront();  // ends all connections at once
  HttpFront(const HttpFront&) = delete;
  HttpFront& operator=(const HttpFront&) = delete;

  // From any thread: the news may have changed. Costs nothing while nobody listens.
  void news();

 private:
  class Impl;
  explicit HttpFront(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringagent

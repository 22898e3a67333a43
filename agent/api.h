#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/history.h"
#include "agent/node.h"
#include "agent/snapshot.h"
#include "config/types.h"

// The door of the agent: HTTP on a unix socket for the commands of this machine, and read-only on TCP for
// everybody who may reach that address. And the other side of it, for the commands.
//
// Intuition: the loop is never asked. Now and then it hands out an immutable snapshot, and a few threads
// answer everything from that; only a command travels to the loop, and its asker waits for the Reply with a
// bound.
//
// Who may do what: the socket file is 0660, so its owner and group may pause and resume; TCP may only read, and only who
// asks for this machine (agent/http_host.h).
// There is no login: [http] listen is bound to loopback unless somebody opens it.
//
// Bounds of the socket: 4 threads; one request a connection; 2 s for each read and write; at most 16 connections taken
// up at a time and 2 commands waiting; bodies up to 64 KiB. Those of TCP stand in `agent/http_front.h`; the two doors
// share no thread, so nobody on TCP keeps a person from `status`.
namespace ringagent {

struct ApiSettings {
  std::string socket;  // path of the unix socket
  Address http;        // empty: no TCP
  // By which other names than that of `http` and this machine's own others reach it (agent/http_host.h).
  std::vector<std::string> names = {};
};

class Api {
 public:
  // Called on a thread of the API: it must hand the command to the loop and return at once.
  using Post = std::function<void(Command)>;

  // Binds both doors and serves. A socket file that a dead agent left is replaced; a living agent behind it
  // is an error, and so is an address in use. `history` must outlive the Api.
  static Result<std::unique_ptr<Api>> start(ApiSettings settings, const History& history, Post post);
  // Ends all requests; removes the socket file, if it is still the one that was made here.
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // From the loop: what is answered from now on.
  void publish(std::shared_ptr<const Snapshot> snapshot);
  // From the loop: the answer to a Command that was posted. One that nobody waits for any more is dropped.
  void reply(Reply reply);

 private:
  class Impl;
  explicit Api(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// ---------------------------------------------------------------- the client

// Talks to the agent behind a unix socket; one connection a request.
class ApiClient {
 public:
  struct Answer {
    int status = 0;
    std::string body;
  };

  explicit ApiClient(std::string socket) : socket_(std::move(socket)) {}

  // Fails in one line if nobody answers there.
  Result<Answer> get(const std::string& path, Duration timeout = 3s) const;
  // Runs a command in the agent, `pause` or `resume`. Fails only if nobody answers.
  struct Outcome {
    bool ok = false;
    std::string text;
  };
  Result<Outcome> command(const std::string& name,
                          const std::vector<std::pair<std::string, std::string>>& arguments) const;

 private:
  std::string socket_;
};

}  // namespace ringagent

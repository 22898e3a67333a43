#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

#include "config/types.h"
#include "mysql/client.h"
#include "mysql/dialect.h"
#include "mysql/server.h"

// A thread that talks to servers, so that the event loop never waits for one.
//
// Purpose: calls to a server block, and a hung server blocks them until the deadline. The daemon owns three
// Workers: one that watches the own server, one that acts on it, one that looks at other nodes' servers. A
// statement that hangs in one delays nothing in the others.
//
// How results come back: `done` is called ON THE WORKER'S OWN THREAD, once for each job that submit() took,
// in order. The daemon moves the answer into a queue of its own and wakes its loop (uv_async_send). After the
// destructor has begun, the jobs that are left are dropped without an answer.
//
// Bounds: a job ends by its deadline, counted from when the thread takes it up; the queue holds `jobs_max`
// jobs. The destructor cuts the running call and joins the thread, however hung the server is (only a name
// that the resolver is working on is waited for).
//
// The thread blocks all signals: they are the event loop's, and a broken TLS connection raises SIGPIPE.
namespace ringagent {

// What the daemon may watch besides polling: the end of the poll connection, and the end of the server's
// process. Both descriptors are duplicates that live as long as this value, so they may stand in an epoll set
// while the worker closes its own. `fd` becomes readable or hangs up (EPOLLRDHUP) when the server closes the
// connection; nothing must be read from it. `pidfd` becomes readable when the process is gone: the only
// immediate proof.
struct Watch {
  Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();
  int fd = -1;
  int pidfd = -1;  // -1 over TCP and where the kernel does not tell
  std::uint64_t pid = 0;
};

struct PollJob {
  std::uint64_t ticket = 0;
  bool survey = false;  // ask for everything now, not only when it is due
  Duration deadline = 2s;
  bool purged = false;  // ask for this now, too: others start from it, and it may have changed at once
};
struct RunJob {
  std::uint64_t ticket = 0;
  Statement statement;  // has its own deadline; connecting comes on top, at most kConnectDeadline
};
struct LookJob {
  std::uint64_t ticket = 0;
  Address address;
  Duration deadline = 1s;
};
using Job = std::variant<PollJob, RunJob, LookJob>;

struct PollAnswer {
  std::uint64_t ticket = 0;
  SqlResult<ServerState> result;
  Duration took{0};
  // Of the connection that answered; another value means another connection. Null if the poll failed.
  std::shared_ptr<const Watch> watch;
};
struct RunAnswer {
  std::uint64_t ticket = 0;
  SqlResult<void> result;  // `timeout`, and `lost` once it was sent: it may still take effect
  Duration took{0};
};
struct LookAnswer {
  std::uint64_t ticket = 0;
  Address address;
  // version, server_id, server_uuid or domain_id, port, read_only, executed, purged
  SqlResult<ServerState> result;
  bool purged_known = false;  // false: the account may not ask for it (MariaDB: BINLOG MONITOR)
  Duration took{0};
};
using Answer = std::variant<PollAnswer, RunAnswer, LookAnswer>;

inline constexpr Duration kConnectDeadline = 1s;
inline constexpr Duration kSurveyEvery = 60s;
inline constexpr Duration kBinlogEvery = 1s;  // its position, and what is purged

struct WorkerSettings {
  std::string name = "mysql";  // of the thread, at most 15 characters
  ConnectSettings local;       // for PollJob and RunJob
  ConnectSettings remote;      // for LookJob: account and TLS; the address comes with the job
  std::size_t jobs_max = 64;
};

class Worker {
 public:
  Worker(WorkerSettings settings, std::function<void(Answer)> done);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // False if the queue is full: the caller has asked more than the server answers.
  bool submit(Job job);
  std::size_t waiting() const;
  // From the next job on; an open connection is given up.
  void reconfigure(WorkerSettings settings);

 private:
  class Session;
  void loop();
  void serve();
  bool next(Job& job, WorkerSettings& settings, bool& changed);

  const std::function<void(Answer)> done_;
  const int wake_fd_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Job> jobs_;
  WorkerSettings settings_;
  bool changed_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ringagent

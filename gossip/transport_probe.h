#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "gossip/message.h"
#include "gossip/transport_handle.h"
#include "gossip/transport_resolver.h"

// Does somebody's MySQL port answer? A connection by TCP and the first bytes of a greeting.
//
// Intuition: the kernel's "connection refused" is a fact about a host that is up; silence may be anything. And any
// word from the server, an error packet (too many connections, host blocked) included, means that it lives.
//
// The server counts connections that are given up before they log in, and after max_connect_errors of them (100 by
// default) it locks out the whole host, replication included (error 1129, seen on MariaDB 10.11 and MySQL 9.7: a probe that just
// closes locks itself out; loopback addresses are exempt, so no test on one machine shows it). So, when the outcome is
// already known, a probe goes on to the end of the login, as an account that does not exist, without a password: a
// denied login is not counted. The server notes it at log level "warning".
//
// Invariants: each probe is answered exactly once, within its time-out from when it starts (it waits while
// `in_flight_max` others run); never before `probe` returns; not at all after the PortProbe is gone.
namespace ringagent {

class PortProbe {
 public:
  // ok: it said something. refused: the kernel said that nobody listens. silent: anything else in the given time, a
  // connection closed without a word and an unknown name included.
  using Done = std::function<void(EdgeState)>;

  explicit PortProbe(uv_loop_t* loop, std::size_t in_flight_max = 64);
  ~PortProbe();
  PortProbe(const PortProbe&) = delete;
  PortProbe& operator=(const PortProbe&) = delete;

  // The callback may start further probes, but not destroy this.
  void probe(const Address& address, Duration timeout, Done done);

  std::size_t in_flight() const { return attempts_.size(); }

 private:
  class Attempt;
  struct Wanted {
    Address address;
    Duration timeout;
    Done done;
  };

  void start_soon();
  void start_wanted();
  void finished(Attempt* attempt);

  uv_loop_t* loop_;
  std::size_t in_flight_max_;
  Resolver resolver_;
  UvHandle<uv_idle_t> starter_;  // runs while something waits that may start
  std::deque<Wanted> wanted_;
  std::list<std::shared_ptr<Attempt>> attempts_;
};

}  // namespace ringagent

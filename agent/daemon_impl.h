#pragma once

#include <uv.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/api.h"
#include "agent/daemon_hooks.h"
#include "agent/daemon_mailbox.h"
#include "agent/daemon_watch.h"
#include "agent/history.h"
#include "agent/node.h"
#include "agent/notify.h"
#include "config/settings.h"
#include "gossip/seal.h"
#include "gossip/store.h"
#include "gossip/transport.h"
#include "gossip/transport_probe.h"
#include "mysql/worker.h"

// The inside of `run_daemon` (agent/daemon.h says what it promises). Its functions are spread over two files:
//   daemon.cpp          start, signals, the end; what happens becomes an event
//   daemon_effects.cpp  what a step wants done, in the order that agent/node.h demands
// and what it keeps besides the store is in agent/daemon_keys.h.
namespace ringagent {

inline constexpr Duration kLagLimit = 250ms;
inline constexpr Duration kHeartbeat = 250ms;     // the loop wakes at least so often: lag, snapshots, watchdog
inline constexpr Duration kPublishEvery = 100ms;  // at most, when something happened
inline constexpr Duration kPublishQuiet = 500ms;  // at least
inline constexpr Duration kUnknownKeyEvery = 200ms;
inline constexpr Duration kSayAgain = 60s;  // between two lines about one lasting trouble

class Daemon {
 public:
  Daemon(Settings settings, std::string config_path);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  Result<void> start();
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }

 private:
  // ---- daemon.cpp
  Result<void> open_store();
  Result<void> open_doors();
  void start_workers();
  void start_timers();
  void on_signal(int number);
  void reload();
  NodeSettings settings_of_node() const;
  void stop();
  void on_packet(std::string_view bytes, const Address& from);
  void on_refused(Refusal refusal, std::string_view bytes, const Address& from);
  void on_unknown_key(const KeyId& key, const Address& from);
  void on_answer(Answer answer);
  void on_hook(LogLevel level, const std::string& text);
  void on_heartbeat();
  void keep_up();
  // Every event comes through here: lag first, then its step, then the steps that its effects made necessary.
  void handle(Event event);
  void arm();
  void expect_back(Time from);

  // ---- daemon_effects.cpp
  void step(Event event);
  void change_keys(KeyChange change);
  void send(const Outgoing& outgoing);
  void ask(SqlRequest request);
  void probe(const PortRequest& request);
  void record(const HistoryEntry& entry);
  void publish();
  ClusterId name_id() const { return name_cluster_id(settings_.cluster); }

  static Time now();

  Settings settings_;
  const std::string config_path_;
  uv_loop_t loop_{};
  const ServiceManager manager_ = ServiceManager::from_environment();
  bool stopping_ = false;

  std::optional<Store> store_;
  KeyRing key_file_;  // as last read
  std::optional<Sealer> sealer_;
  std::optional<Node> node_;
  std::unique_ptr<History> history_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<PortProbe> ports_;
  std::unique_ptr<Hooks> hooks_;
  std::unique_ptr<ServerWatch> watch_;
  // Threads end before the mailboxes that they post to.
  std::unique_ptr<Mailbox<Answer>> answers_;
  std::unique_ptr<Mailbox<Command>> commands_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<Worker> poll_worker_;
  std::unique_ptr<Worker> run_worker_;
  std::unique_ptr<Worker> look_worker_;

  UvHandle<uv_timer_t> due_;
  UvHandle<uv_timer_t> heartbeat_;
  std::vector<UvHandle<uv_signal_t>> signals_;
  Time expected_by_{0};  // when the loop is to be back from waiting
  Time armed_for_ = Time::max();
  Time watchdog_due_{0};

  bool stepping_ = false;
  std::deque<Event> pending_;  // what happens during a step
  Time poll_asked_{0};
  std::uint64_t last_ticket_ = 0;
  std::map<std::uint64_t, NodeId> looks_;  // by ticket

  bool something_happened_ = true;  // since the last snapshot
  Time published_at_{0};
  // Generation and epoch that the hooks were told; none before the first snapshot.
  std::optional<std::pair<std::uint32_t, std::uint64_t>> hooked_;

  std::uint64_t packets_sent_ = 0;
  std::uint64_t packets_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t packets_refused_ = 0;
  Time clone_said_{-kSayAgain};
  Time unknown_key_said_{-kSayAgain};
  Time unknown_key_at_{-kUnknownKeyEvery};
  bool history_failed_ = false;
};

}  // namespace ringagent

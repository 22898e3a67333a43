#include "agent/daemon.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>
#include <iostream>
#include <tuple>

#include "agent/daemon_impl.h"
#include "agent/daemon_keys.h"
#include "agent/log.h"
#include "agent/settings_map.h"
#include "agent/text.h"
#include "gossip/codec.h"
#include "gossip/seal_key.h"

namespace ringagent {
namespace {

// How the others call this machine.
std::vector<std::string> names_of_this(const Settings& settings) {
  return {settings.node, settings.gossip.advertise.host, settings.mysql.advertise.host};
}

// libuv counts whole milliseconds from the loop's own idea of now.
void start_timer(uv_timer_t* timer, uv_timer_cb callback, Duration after) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::max(after, Duration(0))).count();
  uv_update_time(timer->loop);
  uv_timer_start(timer, callback, static_cast<std::uint64_t>(ms), 0);
}

constexpr std::array<int, 3> kSignals{SIGTERM, SIGINT, SIGHUP};

// Blocked wherever the loop has no handler for them: a second SIGTERM must not kill an agent that is ending already.
// Threads that are started meanwhile inherit it, so nobody else gets one.
void mask_signals(int how) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kSignals) sigaddset(&set, number);
  ::pthread_sigmask(how, &set, nullptr);
}

}  // namespace

Time Daemon::now() {
  timespec at{};
  ::clock_gettime(CLOCK_BOOTTIME, &at);  // cannot fail: the clock exists wherever this was built for
  return std::chrono::seconds(at.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(at.tv_nsec));
}

Daemon::Daemon(Settings settings, std::string config_path)
    : settings_(std::move(settings)), config_path_(std::move(config_path)) {
  uv_loop_init(&loop_);
}

Daemon::~Daemon() {
  stop();
  uv_run(&loop_, UV_RUN_DEFAULT);  // until every handle is closed
  uv_loop_close(&loop_);
}

// ---------------------------------------------------------------- start

Result<void> Daemon::start() {
  if (!init_crypto()) return fail("the system gives no randomness");
  if (auto opened = open_store(); !opened) return opened;
  if (auto opened = open_doors(); !opened) return opened;
  start_workers();
  start_timers();
  publish();
  manager_.tell("READY=1");
  handle(Tick{});
  return {};
}

// Everything that must not be forgotten, and the machine that lives on it.
Result<void> Daemon::open_store() {
  auto keys = read_keys(settings_);
  if (!keys) return tl::unexpected(keys.error());
  auto book = read_key_book(settings_.state_dir);
  if (!book) return tl::unexpected(book.error());
  auto opened = Store::open(settings_.state_dir, random_uuid(), log_line);
  if (!opened) return tl::unexpected(opened.error());
  store_.emplace(std::move(opened->store));
  DurableState state = std::move(opened->state);
  ++state.boot;
  ++state.seq;
  store_->persist(state);
  auto history = History::open(settings_.state_dir + "/history.jsonl");
  if (!history) return tl::unexpected(history.error());
  history_ = std::move(*history);
  sealer_.emplace(state.self, state.boot, random_u64(), ring_of(*book, *keys));
  key_file_ = std::move(*keys);
  log_line(LogLevel::info, std::string("ringagent ") + RINGAGENT_VERSION + " starts: node " + settings_.node +
                               " of cluster " + settings_.cluster + ", id " + state.self.str() + ", start " +
                               std::to_string(state.boot) + (opened->created ? ", new" : ""));
  NodeSettings of_node = settings_of_node();
  of_node.key_book = std::move(*book);
  node_.emplace(std::move(of_node), std::move(state), random_u64(), now());
  return {};
}

Result<void> Daemon::open_doors() {
  auto transport = Transport::open(
      &loop_, settings_.gossip.listen, [this](std::string_view bytes, const Address& from) { on_packet(bytes, from); },
      log_line);
  if (!transport) return tl::unexpected(transport.error());
  transport_ = std::move(*transport);
  ports_ = std::make_unique<PortProbe>(&loop_);
  hooks_ = std::make_unique<Hooks>(&loop_, [this](LogLevel level, const std::string& text) { on_hook(level, text); });
  hooks_->configure(settings_.ring_changed, settings_.state_file);
  commands_ = std::make_unique<Mailbox<Command>>(&loop_, [this](Command command) { handle(std::move(command)); });
  auto api = Api::start({settings_.socket, settings_.http, names_of_this(settings_)}, *history_,
                        [this](Command command) { commands_->post(std::move(command)); });
  if (!api) return tl::unexpected(api.error());
  api_ = std::move(*api);
  return {};
}

// Three, for a statement that hangs must delay neither the polls nor the looks at others.
void Daemon::start_workers() {
  answers_ = std::make_unique<Mailbox<Answer>>(&loop_, [this](Answer answer) { on_answer(std::move(answer)); });
  watch_ = std::make_unique<ServerWatch>(&loop_, [this](bool process, std::string why) {
    handle(ServerGone{process, std::move(why)});
  });
  const auto worker = [this](const char* name) {
    return std::make_unique<Worker>(worker_settings(settings_, name),
                                    [this](Answer answer) { answers_->post(std::move(answer)); });
  };
  poll_worker_ = worker("mysql-poll");
  run_worker_ = worker("mysql-run");
  look_worker_ = worker("mysql-look");
}

void Daemon::start_timers() {
  due_ = make_handle<uv_timer_t>(&loop_, uv_timer_init, this);
  heartbeat_ = make_handle<uv_timer_t>(&loop_, uv_timer_init, this);
  expect_back(now());
  for (const int number : kSignals) {
    signals_.push_back(make_handle<uv_signal_t>(&loop_, uv_signal_init, this));
    uv_signal_start(
        signals_.back().get(),
        [](uv_signal_t* signal, int caught) {
          if (signal->data != nullptr) static_cast<Daemon*>(signal->data)->on_signal(caught);
        },
        number);
  }
  // libuv's own threads begin with the first work that they get, and are not to be the ones who get a signal either.
  auto* nothing = new uv_work_t{};
  const auto done = [](uv_work_t* work, int /*status*/) { delete work; };
  if (uv_queue_work(
          &loop_, nothing, [](uv_work_t* /*work*/) {}, done) != 0)
    delete nothing;
  mask_signals(SIG_UNBLOCK);
}

// ---------------------------------------------------------------- signals, the end

void Daemon::on_signal(int number) {
  if (number == SIGHUP) return reload();
  log_line(LogLevel::info, std::string(number == SIGTERM ? "SIGTERM" : "SIGINT") +
                               ": the agent ends; MySQL and its replication stay as they are");
  manager_.tell("STOPPING=1");
  handle(Command{0, "leaving", {}});
  stop();
}

void Daemon::reload() {
  const auto read = load_settings(config_path_);
  if (!read) {
    for (const auto& fault : read.error()) {
      log_line(LogLevel::error, config_path_ + ":" + std::to_string(fault.line) + ": " + fault.text);
    }
    return log_line(LogLevel::error, "SIGHUP: the config has faults, the old one stays");
  }
  auto keys = read_keys(*read);
  if (!keys) return log_line(LogLevel::error, "SIGHUP: " + keys.error().text + "; the old config stays");
  Settings next = *read;
  const auto left = needs_restart(settings_, next);
  next.cluster = settings_.cluster;
  next.node = settings_.node;
  next.state_dir = settings_.state_dir;
  next.socket = settings_.socket;
  next.http = settings_.http;
  next.gossip.listen = settings_.gossip.listen;
  next.gossip.advertise = settings_.gossip.advertise;
  next.gossip.insecure = settings_.gossip.insecure;
  if (!next.gossip.insecure) key_file_ = std::move(*keys);
  settings_ = std::move(next);
  set_up_log(settings_.log_level, settings_.log_json, settings_.cluster, settings_.node);
  hooks_->configure(settings_.ring_changed, settings_.state_file);
  node_->reload(settings_of_node());
  poll_worker_->reconfigure(worker_settings(settings_, "mysql-poll"));
  run_worker_->reconfigure(worker_settings(settings_, "mysql-run"));
  look_worker_->reconfigure(worker_settings(settings_, "mysql-look"));
  log_line(LogLevel::info,
           "SIGHUP: the config was read again" + (left.empty() ? "" : "; only a restart changes: " + joined(left)));
  handle(Tick{});
}

NodeSettings Daemon::settings_of_node() const {
  NodeSettings out = node_settings(settings_);
  out.key_file = key_file_;
  return out;
}

// Ends the threads first, then gives every handle back: the loop runs out by itself.
void Daemon::stop() {
  stopping_ = true;
  api_.reset();
  poll_worker_.reset();
  run_worker_.reset();
  look_worker_.reset();
  if (answers_) answers_->close();
  if (commands_) commands_->close();
  watch_.reset();
  if (hooks_) hooks_->close();
  ports_.reset();
  transport_.reset();
  due_.reset();
  heartbeat_.reset();
  mask_signals(SIG_BLOCK);
  signals_.clear();
}

// ---------------------------------------------------------------- events

void Daemon::on_packet(std::string_view bytes, const Address& from) {
  if (stopping_) return;
  const ClusterId cluster = node_->cluster_id();
  const ClusterId accepted[] = {name_id(), cluster};
  const auto opened = sealer_->open(bytes, {accepted, cluster.nil() ? std::size_t{1} : std::size_t{2}});
  if (!opened) return on_refused(opened.error(), bytes, from);
  auto message = decode(opened->body);
  if (!message) {
    ++packets_refused_;
    return log_line(LogLevel::debug, "a packet from " + from.str() + " is malformed: " + message.error().text);
  }
  ++packets_received_;
  bytes_received_ += bytes.size();
  handle(
      Packet{opened->sender, opened->boot, from, opened->cluster == accepted[0], opened->brief, std::move(*message)});
}

void Daemon::on_refused(Refusal refusal, std::string_view bytes, const Address& from) {
  ++packets_refused_;
  log_line(LogLevel::debug, "a packet from " + from.str() + " is refused: " + to_string(refusal));
  if (refusal == Refusal::unknown_key) on_unknown_key(claimed_key(bytes).value_or(KeyId{}), from);
  if (refusal != Refusal::clone || now() - clone_said_ < kSayAgain) return;
  clone_said_ = now();
  log_line(LogLevel::error, "another agent, at " + from.str() + ", runs with a copy of this one's state directory " +
                                settings_.state_dir + ": stop one of the two and give it an empty directory");
}

// Anybody can send such packets, and as many as he likes.
void Daemon::on_unknown_key(const KeyId& key, const Address& from) {
  if (now() - unknown_key_at_ >= kUnknownKeyEvery) {
    unknown_key_at_ = now();
    handle(UnknownKey{from, key});
  }
  if (now() - unknown_key_said_ < kSayAgain) return;
  unknown_key_said_ = now();
  log_line(LogLevel::warning,
           "somebody at " + from.str() + " uses the gossip key " + to_string(key) +
               ", which is not known here: if that is an agent of this ring, one of the two lacks the "
               "key that `ringagent key list` shows as in use: put it first into key_file there");
}

void Daemon::on_answer(Answer answer) {
  if (auto* poll = std::get_if<PollAnswer>(&answer)) {
    watch_->follow(std::move(poll->watch));
    return handle(Polled{poll_asked_, std::move(poll->result)});
  }
  if (auto* run = std::get_if<RunAnswer>(&answer)) {
    std::optional<SqlError> error;
    if (!run->result) error = std::move(run->result.error());
    return handle(Ran{run->ticket, std::move(error), run->took});
  }
  auto& look = std::get<LookAnswer>(answer);
  const auto it = looks_.find(look.ticket);
  const NodeId target = it->second;
  looks_.erase(it);
  handle(Looked{target, std::move(look.result)});
}

// What went wrong with a hook is looked for afterwards, by somebody who reads the history.
void Daemon::on_hook(LogLevel level, const std::string& text) {
  log_line(level, text);
  HistoryEntry note;
  note.kind = "note";
  if (hooked_) std::tie(note.generation, note.epoch) = *hooked_;
  note.what = text;
  note.ok = level < LogLevel::warning;
  record(note);
}

// Only where nothing else happened meanwhile.
void Daemon::on_heartbeat() {
  const Time at = now();
  if (at - expected_by_ > kLagLimit) return handle(Tick{});
  expect_back(at);
  keep_up();
}

// What has to happen now and then, whatever wakes the loop; and when it is to wake for that at the latest.
void Daemon::keep_up() {
  const Time at = now();
  if (manager_.watchdog_period() && at >= watchdog_due_) {
    watchdog_due_ = at + *manager_.watchdog_period();
    manager_.tell("WATCHDOG=1");
  }
  if (at - published_at_ >= (something_happened_ ? kPublishEvery : kPublishQuiet)) publish();
  start_timer(
      heartbeat_.get(),
      [](uv_timer_t* timer) {
        if (timer->data != nullptr) static_cast<Daemon*>(timer->data)->on_heartbeat();
      },
      something_happened_ ? published_at_ + kPublishEvery - at : kHeartbeat);
}

void Daemon::handle(Event event) {
  if (stopping_) return;
  if (stepping_) return pending_.push_back(std::move(event));
  stepping_ = true;
  const Time began = now();
  if (const Duration gap = began - expected_by_; gap > kLagLimit) step(LoopLagged{gap});
  step(std::move(event));
  while (!pending_.empty()) {
    Event next = std::move(pending_.front());
    pending_.pop_front();
    step(std::move(next));
  }
  stepping_ = false;
  arm();
  expect_back(began);
  keep_up();
}

// Until when the loop is to have come back. When it is late it was stopped, starved, or busy in a step, for the time of a
// step counts: `from` is when that began. Whatever is handled next is handled knowing that.
void Daemon::expect_back(Time from) {
  expected_by_ = std::clamp(armed_for_, from, from + kHeartbeat);
}

void Daemon::arm() {
  const Time due = node_->next_due();
  if (due == armed_for_ || stopping_) return;
  armed_for_ = due;
  if (due == Time::max()) {
    uv_timer_stop(due_.get());
    return;
  }
  start_timer(
      due_.get(),
      [](uv_timer_t* timer) {
        auto* daemon = static_cast<Daemon*>(timer->data);
        if (daemon == nullptr) return;
        daemon->armed_for_ = Time::max();
        daemon->handle(Tick{});
      },
      due - now());
}

// ---------------------------------------------------------------- the door

int run_daemon(const Settings& settings, const std::string& config_path) {
  ::mallopt(M_ARENA_MAX, 2);  // a dozen mostly sleeping threads need no heaps of their own
  ::signal(SIGPIPE, SIG_IGN);
  mask_signals(SIG_BLOCK);  // until the loop handles them
  set_up_log(settings.log_level, settings.log_json, settings.cluster, settings.node);
  Daemon daemon(settings, config_path);
  if (auto started = daemon.start(); !started) {
    log_line(LogLevel::error, started.error().text);
    return 1;
  }
  daemon.run();
  return 0;
}

}  // namespace ringagent

#include <chrono>
#include <cstdlib>

#include "agent/daemon_impl.h"
#include "agent/daemon_keys.h"
#include "agent/log.h"
#include "gossip/codec.h"

namespace ringagent {
namespace {

constexpr Duration kPollDeadline = 2s;
constexpr Duration kLookDeadline = 1s;

SqlError too_many() {
  return {SqlErrorKind::timeout, 0, "too many questions are waiting for an answer"};
}

}  // namespace

void Daemon::step(Event event) {
  Effects effects = node_->step(std::move(event), now());
  if (effects.persist) store_->persist(node_->durable());
  if (effects.keys) change_keys(std::move(*effects.keys));
  for (const auto& outgoing : effects.send) send(outgoing);
  for (auto& request : effects.sql) ask(std::move(request));
  for (const auto& request : effects.ports) probe(request);
  for (const auto& entry : effects.history) record(entry);
  for (const auto& line : effects.log) log_line(line.level, line.text);
  something_happened_ = something_happened_ || !effects.quiet;
  // What was decided or done is shown at once, and before anybody is told of it: whoever was answered looks at the status.
  if (!effects.history.empty() || !effects.replies.empty()) publish();
  for (auto& reply : effects.replies) api_->reply(std::move(reply));
}

// Kept before it is said. As with the store: who cannot write any more must not go on as if he could.
void Daemon::change_keys(KeyChange change) {
  if (change.book) {
    if (const auto written = write_key_book(settings_.state_dir, *change.book); !written) {
      log_line(LogLevel::error, written.error().text + "; the agent ends here");
      std::abort();
    }
  }
  sealer_->set_keys(std::move(change.ring));
}

void Daemon::send(const Outgoing& outgoing) {
  const ClusterId cluster = node_->cluster_id();
  const bool by_name = outgoing.by_name || cluster.nil();
  std::string packet =
      sealer_->seal(by_name ? name_id() : cluster, encode(outgoing.message), outgoing.brief && !by_name);
  ++packets_sent_;
  bytes_sent_ += packet.size();
  transport_->send(outgoing.address, std::move(packet));
}

// A queue that is full answers at once, after this step.
void Daemon::ask(SqlRequest request) {
  const std::uint64_t ticket = ++last_ticket_;
  if (const auto* poll = std::get_if<PollRequest>(&request)) {
    poll_asked_ = now();
    if (!poll_worker_->submit(PollJob{ticket, false, kPollDeadline, poll->purged})) {
      pending_.push_back(Polled{poll_asked_, tl::unexpected(too_many())});
    }
  } else if (auto* run = std::get_if<RunRequest>(&request)) {
    if (!run_worker_->submit(RunJob{run->ticket, std::move(run->statement)})) {
      pending_.push_back(Ran{run->ticket, too_many(), 0s});
    }
  } else {
    const auto& look = std::get<LookRequest>(request);
    if (look_worker_->submit(LookJob{ticket, look.address, kLookDeadline})) {
      looks_.emplace(ticket, look.target);
    } else {
      pending_.push_back(Looked{look.target, tl::unexpected(too_many())});
    }
  }
}

void Daemon::probe(const PortRequest& request) {
  ports_->probe(request.address, request.timeout, [this, target = request.target](EdgeState state) {
    handle(PortAnswered{target, state});
  });
}

void Daemon::record(const HistoryEntry& entry) {
  const auto written = history_->add(entry, std::chrono::system_clock::now());
  if (written.has_value() == !history_failed_) return;
  history_failed_ = !written;
  if (written) {
    log_line(LogLevel::info, "the history can be written again");
  } else {
    log_line(LogLevel::error, "the history has gaps from here on: " + written.error().text);
  }
}

void Daemon::publish() {
  Snapshot snapshot = node_->snapshot(now());
  snapshot.packets_sent = packets_sent_;
  snapshot.packets_received = packets_received_;
  snapshot.bytes_sent = bytes_sent_;
  snapshot.bytes_received = bytes_received_;
  snapshot.packets_refused = packets_refused_;
  published_at_ = now();
  something_happened_ = false;
  const auto shared = std::make_shared<const Snapshot>(std::move(snapshot));
  api_->publish(shared);
  const std::pair head{shared->generation, shared->epoch};
  if (head == hooked_) return;
  const bool changed = hooked_.has_value();  // else this agent has only started
  hooked_ = head;
  changed ? hooks_->ring_changed(*shared) : hooks_->show(*shared);
}

}  // namespace ringagent

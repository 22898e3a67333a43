#include "gossip/rumours.h"

#include <algorithm>
#include <bit>

namespace ringagent {

bool RumourQueue::add(const Rumour& rumour) {
  std::size_t voices = 0;
  for (const Queued& known : queue_) {
    const Rumour& old = known.rumour;
    if (old.about != rumour.about) continue;
    if (old.incarnation > rumour.incarnation) return false;
    if (old.incarnation < rumour.incarnation) continue;
    if (old.state > rumour.state) return false;
    if (old.state < rumour.state) continue;
    if (old.state != Liveness::suspect || old.from == rumour.from || ++voices == kVoicesMax) return false;
  }
  std::erase_if(queue_, [&](const Queued& known) {
    const Rumour& old = known.rumour;
    return old.about == rumour.about && (old.incarnation < rumour.incarnation || old.state < rumour.state);
  });
  if (queue_.size() == kQueueMax)
    queue_.erase(std::max_element(queue_.begin(), queue_.end(),
                                  [](const Queued& a, const Queued& b) { return a.said < b.said; }));
  queue_.push_back(Queued{rumour, 0});
  return true;
}

void RumourQueue::take(const NodeId& to, std::size_t members, std::vector<Rumour>& packet) {
  if (queue_.empty() || packet.size() >= kRumoursMax) return;
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    const Rumour& rumour = queue_[i].rumour;
    const bool idle = rumour.about == to && rumour.state == Liveness::alive;
    if (!idle && std::find(packet.begin(), packet.end(), rumour) == packet.end()) chosen.push_back(i);
  }
  const std::size_t count = std::min(chosen.size(), kRumoursMax - packet.size());
  std::partial_sort(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(count), chosen.end(),
                    [this](std::size_t a, std::size_t b) {
                      return queue_[a].said != queue_[b].said ? queue_[a].said < queue_[b].said : a > b;
                    });
  chosen.resize(count);
  for (const std::size_t i : chosen) {
    packet.push_back(queue_[i].rumour);
    ++queue_[i].said;
  }
  const std::size_t limit = repeats(members);
  std::erase_if(queue_, [limit](const Queued& known) { return known.said >= limit; });
}

void RumourQueue::forget(const NodeId& about) {
  std::erase_if(queue_, [&](const Queued& known) { return known.rumour.about == about; });
}

// 3 log2(members + 1), the logarithm rounded up.
std::size_t RumourQueue::repeats(std::size_t members) {
  return 3 * static_cast<std::size_t>(std::bit_width(members));
}

}  // namespace ringagent

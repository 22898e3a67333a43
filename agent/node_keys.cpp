#include <algorithm>

#include "agent/node_impl.h"

// The part of Node that changes the gossip keys without a restart (gossip/key_book.h). A command changes the own book; who
// does not show in its record what the book says is handed the book, by whoever sees it, until it does: so a member that
// was away learns of it, too, as long as it can read what it is told.
namespace ringagent {
namespace {

constexpr Duration kKeyCommandLimit = 10s;
constexpr Duration kKeysLook = 200ms;
constexpr Duration kKeyNewsAgain = 1s;
constexpr Duration kKeyNewsToTheGone =
    10s;                                   // it may be back and be heard by nobody, for it seals with what was removed
constexpr Duration kKeyNewsPatience = 1s;  // who gave no command leaves it to others at first: not all in chorus

bool among(const std::vector<std::string>& keys, const std::string& id) {
  return std::find(keys.begin(), keys.end(), id) != keys.end();
}

void add_name(std::string& list, const std::string& name) {
  list += (list.empty() ? "" : ", ") + name;
}

std::string deed(const std::string& command) {
  if (command == "key-install") return "installed";
  return command == "key-use" ? "in use" : "removed";
}

constexpr const char* kAlone = "it is the only key: install another one and use that first";

}  // namespace

std::vector<std::string> Node::Impl::keys_of(const NodeId& member) const {
  if (member == self()) return key_names(key_ring_);
  const NodeRecord* record = facts_.find(member);
  return record == nullptr ? std::vector<std::string>{} : record->keys;
}

// ---------------------------------------------------------------- the own keys

// Whatever has changed (a command, another's book, the key file): from this step on the ring is what follows from it.
void Node::Impl::settle_keys() {
  KeyRing ring = ring_of(key_book_, settings.key_file);
  if (ring == key_ring_ && !key_book_dirty_) return;
  fx_->keys = KeyChange{key_book_dirty_ ? std::optional(key_book_) : std::nullopt, ring};
  key_book_dirty_ = false;
  keys_due_ = now_;
  key_news_due_.clear();  // whatever they were told, this is newer
  if (ring == key_ring_) return;
  const KeyRing before = std::exchange(key_ring_, std::move(ring));
  if (before.primary().id != key_ring_.primary().id) swim_.changed_envelope();
  note_key_change(before);
}

void Node::Impl::note_key_change(const KeyRing& before) {
  const auto note = [&](const KeyId& id, const std::string& what) {
    HistoryEntry entry;
    entry.kind = "note";
    if (const Config* head = chain.head()) entry.generation = head->generation, entry.epoch = head->epoch;
    entry.what = "the gossip key " + to_string(id) + " is " + what + " here";
    log(LogLevel::info, entry.what);
    fx_->history.push_back(std::move(entry));
  };
  for (const KeyId& id : key_ring_.ids()) {
    if (before.find(id) == nullptr) note(id, "installed");
  }
  if (before.primary().id != key_ring_.primary().id) note(key_ring_.primary().id, "in use");
  for (const KeyId& id : before.ids()) {
    if (key_ring_.find(id) == nullptr) note(id, "removed");
  }
}

// The sender has a key of ours, so it may say so; nobody's book does anything to somebody who wants no keys.
void Node::Impl::hear_of_keys(const KeyBook& book) {
  if (settings.key_file.is_insecure() || !sound(book)) return;
  if (merge(key_book_, book)) key_book_dirty_ = true;
}

// Whoever is there: it is shown only as long as that member is not heard of otherwise.
void Node::Impl::handle(const UnknownKey& unknown) {
  if (chain.head() == nullptr) return;
  for (const Member& member : chain.head()->members) {
    if (address_of(member.id) == unknown.from) strangers_[member.id] = {now_, unknown.key};
  }
}

// ---------------------------------------------------------------- commands

std::string Node::Impl::install_refused(const Key& key) const {
  if (key_ring_.find(key.id) != nullptr) return {};
  if (key_ring_.keys().size() < kKeysMax) return {};
  return "there are " + std::to_string(kKeysMax) + " keys already: remove one that is not in use first";
}

std::string Node::Impl::use_refused(const KeyId& id) const {
  const std::string name = to_string(id);
  std::string lacking;
  std::string gone;
  for (const Member& member : chain.head()->members) {
    if (among(keys_of(member.id), name)) continue;
    add_name(agent_lives(member.id) ? lacking : gone, member.name);
  }
  if (lacking.empty() && gone.empty()) return {};
  std::string text = "not everybody has the key " + name + ": ";
  if (!lacking.empty())
    text += lacking + " lack" + (lacking.find(',') == std::string::npos ? "s" : "") + " it" +
            (key_ring_.find(id) == nullptr ? "; run `ringagent key install FILE` first" : "");
  if (!gone.empty())
    text += std::string(lacking.empty() ? "" : "; ") + "the agent of " + gone +
            " does not answer and had not got it: start it again, or `ringagent remove` it if it is gone for good";
  return text;
}

// Who would be left with no key that the others still have?
std::string Node::Impl::removal_refused(const KeyId& id, bool force) const {
  const std::string name = to_string(id);
  if (key_ring_.find(id) != nullptr && key_ring_.keys().size() == 1) return kAlone;
  if (key_ring_.primary().id == id) return "the key " + name + " is in use: `ringagent key use` another one first";
  if (force) return {};
  std::string using_it;
  std::string lost;
  for (const Member& member : chain.head()->members) {
    const std::vector<std::string> keys = keys_of(member.id);
    if (!keys.empty() && keys.front() == name) add_name(using_it, member.name);
    const bool others = std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
      const auto& kept = key_ring_.keys();
      return key != name &&
             std::any_of(kept.begin(), kept.end(), [&](const Key& k) { return k.id != id && to_string(k.id) == key; });
    });
    if (!others) add_name(lost, member.name);
  }
  const std::string mend =
      "; start its agent again and wait until `ringagent key list` shows another one there, or say --force";
  if (!using_it.empty()) return "the key " + name + " is in use, or was when last heard of, on " + using_it + mend;
  if (!lost.empty()) return "no other key is known to be on " + lost + mend;
  return {};
}

void Node::Impl::start_key_command(const Command& command) {
  const auto refuse = [&](std::string why) { fx_->replies.push_back({command.id, false, std::move(why)}); };
  if (settings.key_file.is_insecure()) return refuse("there are no keys here: [gossip] insecure is set");
  if (chain.head() == nullptr) return refuse("no ring has been formed yet: put the key into key_file on every node");
  if (own_member() == nullptr) return refuse(settings.name + " is no member of the ring any more");
  const std::string word = argument(command, "key");
  const bool force = !argument(command, "force").empty();
  KeyCommand next{{command.id, command.name, {}}, {}, now_ + kKeyCommandLimit};
  std::string why;
  if (command.name == "key-install") {
    const auto keys = KeyRing::parse(word);
    if (!keys || keys->keys().size() != 1) return refuse("that is not one key as `ringagent keygen` makes it");
    next.key = keys->primary().id;
    why = install_refused(keys->primary());
    if (why.empty()) install(key_book_, keys->primary());
  } else if (command.name == "key-use" || command.name == "key-remove") {
    const bool use_it = command.name == "key-use";
    const auto id = key_id(word);
    if (!id) return refuse("\"" + word + "\" is no fingerprint: 8 hex digits, as `ringagent key list` shows them");
    next.key = *id;
    const Key* known = key_ring_.find(*id);
    const bool anywhere = std::any_of(chain.head()->members.begin(), chain.head()->members.end(),
                                      [&](const Member& m) { return among(keys_of(m.id), word); });
    if (!anywhere && (use_it || !removed(key_book_, word)))
      return refuse("there is no key " + word + "; `ringagent key list` shows all");
    if (anywhere) why = use_it ? use_refused(*id) : removal_refused(*id, force);
    if (why.empty()) use_it ? use(key_book_, *known) : remove(key_book_, *id);
  } else {
    return refuse("this agent does not know the command " + command.name);
  }
  if (!why.empty()) return refuse(why);
  key_book_dirty_ = true;
  key_commands_.push_back(std::move(next));
}

bool Node::Impl::does_as_told(const std::string& what, const NodeId& member, const std::string& id) const {
  const std::vector<std::string> keys = keys_of(member);
  if (what == "key-install") return among(keys, id);
  if (what == "key-use") return !keys.empty() && keys.front() == id;
  return !among(keys, id);
}

// A command is over when the records of all who live show it.
void Node::Impl::run_key_commands() {
  std::erase_if(key_commands_, [this](const KeyCommand& pending) {
    const std::string id = to_string(pending.key);
    std::string done;
    std::string open;
    std::string gone;
    for (const Member& member : chain.head()->members) {
      if (does_as_told(pending.command.name, member.id, id))
        add_name(done, member.name);
      else
        add_name(agent_lives(member.id) ? open : gone, member.name);
    }
    if (!open.empty() && now_ < pending.deadline) return false;
    std::string text = "the key " + id + " is " + deed(pending.command.name) + " on " + done;
    if (!gone.empty()) text += "; not on " + gone + ", whose agent does not answer: it is told when it is back";
    if (!open.empty())
      text += "; not on " + open + ", whose agent answers and does not show it (is it an older version?)";
    fx_->replies.push_back({pending.command.id, open.empty(), text});
    return true;
  });
}

// ---------------------------------------------------------------- the others

void Node::Impl::spread_keys() {
  if (now_ < keys_due_ || key_ring_.is_insecure()) return;
  keys_due_ = now_ + kKeysLook;
  note_keys();
  const auto crowd = static_cast<std::int64_t>(1 + chain.head()->members.size() / 8);
  for (const Member& member : chain.head()->members) {
    const std::vector<std::string> keys = keys_of(member.id);
    if (member.id == self() || keys.empty() || !is_news(key_book_, key_ring_, keys)) {
      key_news_due_.erase(member.id);
      continue;
    }
    const auto [at, first] = key_news_due_.emplace(member.id, now_);
    if (first && key_commands_.empty()) {
      const Duration spread = kKeyNewsPatience * crowd;
      at->second += kKeyNewsPatience +
                    Duration(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(spread.count())));
    }
    if (now_ < at->second) continue;
    at->second = now_ + (agent_lives(member.id) ? kKeyNewsAgain : kKeyNewsToTheGone * crowd);
    send(member.id, key_book_);
  }
  std::erase_if(key_news_due_, [this](const auto& one) { return chain.head()->find(one.first) == nullptr; });
}

void Node::Impl::note_keys() {
  const std::string mine = to_string(key_ring_.primary().id);
  for (const Member& member : chain.head()->members) {
    const std::vector<std::string> keys = keys_of(member.id);
    const bool differs = !keys.empty() && (agent_lives(member.id) ? keys.front() != mine : !among(keys, mine));
    if (differs)
      keys_differ_since_.emplace(member.id, now_);
    else
      keys_differ_since_.erase(member.id);
  }
}

}  // namespace ringagent

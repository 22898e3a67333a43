#include "gossip/key_book.h"

#include <algorithm>
#include <sstream>
#include <tuple>

namespace ringagent {
namespace {

constexpr std::uint64_t kVersionMax = std::uint64_t{1} << 62U;  // no ring gets there; who claims it is not believed
constexpr std::string_view kEnd = "end";

bool earlier(const KeyEntry& a, const KeyEntry& b) {
  return a.id < b.id;
}

auto place_of(const KeyBook& book, const std::string& id) {
  return std::lower_bound(book.entries.begin(), book.entries.end(), id,
                          [](const KeyEntry& entry, const std::string& wanted) { return entry.id < wanted; });
}

const KeyEntry* find(const KeyBook& book, const std::string& id) {
  const auto at = place_of(book, id);
  return at != book.entries.end() && at->id == id ? &*at : nullptr;
}

void put(KeyBook& book, KeyEntry entry) {
  const auto at = book.entries.begin() + (place_of(book, entry.id) - book.entries.cbegin());
  if (at != book.entries.end() && at->id == entry.id)
    *at = std::move(entry);
  else
    book.entries.insert(at, std::move(entry));
}

std::uint64_t next_version(const KeyBook& book) {
  std::uint64_t newest = book.in_use_version;
  for (const KeyEntry& entry : book.entries) newest = std::max(newest, entry.version);
  return newest + 1;
}

std::string bytes_of(const Key& key) {
  return {key.bytes.begin(), key.bytes.end()};
}

// Oldest removals first: somebody would have to be away for that many rotations to bring one back.
void keep_bounds(KeyBook& book) {
  while (book.entries.size() > kKeyEntriesMax) {
    const auto oldest =
        std::min_element(book.entries.begin(), book.entries.end(), [](const KeyEntry& a, const KeyEntry& b) {
          return std::tuple(!a.removed, a.version, a.id) < std::tuple(!b.removed, b.version, b.id);
        });
    book.entries.erase(oldest);
  }
}

std::string name_of(const KeyId& id) {
  return to_string(id);
}

}  // namespace

KeyRing ring_of(const KeyBook& book, const KeyRing& file) {
  if (file.is_insecure()) return file;
  std::vector<Key> keys;
  for (const KeyEntry& entry : book.entries) {
    if (!entry.removed) keys.push_back(*key_of(entry.bytes));
  }
  for (const Key& key : file.keys()) {
    if (find(book, name_of(key.id)) == nullptr) keys.push_back(key);
  }
  if (keys.empty()) return file;
  const auto first = [&] {
    const auto named =
        std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return name_of(k.id) == book.in_use; });
    if (named != keys.end()) return named;
    for (const Key& key : file.keys()) {
      const auto at = std::find(keys.begin(), keys.end(), key);
      if (at != keys.end()) return at;
    }
    return keys.begin();
  }();
  std::rotate(keys.begin(), first, first + 1);
  if (keys.size() > kKeysMax) keys.resize(kKeysMax);
  return KeyRing(std::move(keys));
}

bool sound(const KeyBook& book) {
  if (book.entries.size() > kKeyEntriesMax || book.in_use_version > kVersionMax) return false;
  for (std::size_t i = 0; i < book.entries.size(); ++i) {
    const KeyEntry& entry = book.entries[i];
    if (entry.version > kVersionMax || (i > 0 && !earlier(book.entries[i - 1], entry))) return false;
    if (entry.removed != entry.bytes.empty()) return false;
    if (entry.removed) continue;
    const auto key = key_of(entry.bytes);
    if (!key || name_of(key->id) != entry.id) return false;
  }
  return true;
}

bool merge(KeyBook& into, const KeyBook& other) {
  const KeyBook before = into;
  for (const KeyEntry& entry : other.entries) {
    const KeyEntry* mine = find(into, entry.id);
    if (mine == nullptr || std::tuple(mine->version, mine->removed) < std::tuple(entry.version, entry.removed))
      put(into, entry);
  }
  if (std::tuple(into.in_use_version, into.in_use) < std::tuple(other.in_use_version, other.in_use)) {
    into.in_use = other.in_use;
    into.in_use_version = other.in_use_version;
  }
  keep_bounds(into);
  return into != before;
}

void install(KeyBook& book, const Key& key) {
  const KeyEntry* known = find(book, name_of(key.id));
  if (known != nullptr && !known->removed) return;
  put(book, {name_of(key.id), next_version(book), false, bytes_of(key)});
  keep_bounds(book);
}

void use(KeyBook& book, const Key& key) {
  install(book, key);
  if (book.in_use == name_of(key.id)) return;
  book.in_use_version = next_version(book);
  book.in_use = name_of(key.id);
}

void remove(KeyBook& book, const KeyId& id) {
  const KeyEntry* known = find(book, name_of(id));
  if (known != nullptr && known->removed) return;
  put(book, {name_of(id), next_version(book), true, ""});
  keep_bounds(book);
}

bool removed(const KeyBook& book, const std::string& id) {
  const KeyEntry* entry = find(book, id);
  return entry != nullptr && entry->removed;
}

std::vector<std::string> key_names(const KeyRing& ring) {
  std::vector<std::string> out;
  for (const KeyId& id : ring.ids()) out.push_back(name_of(id));
  return out;
}

bool is_news(const KeyBook& book, const KeyRing& ring, const std::vector<std::string>& keys) {
  const auto shows = [&](const std::string& id) { return std::find(keys.begin(), keys.end(), id) != keys.end(); };
  for (const KeyId& id : ring.ids()) {
    if (find(book, name_of(id)) != nullptr && !shows(name_of(id))) return true;
  }
  for (const std::string& id : keys) {
    if (removed(book, id)) return true;
  }
  return !ring.is_insecure() && !keys.empty() && book.in_use == name_of(ring.primary().id) &&
         keys.front() != book.in_use;
}

// ---------------------------------------------------------------- the file

std::string key_book_text(const KeyBook& book) {
  std::ostringstream out;
  out << "# What `ringagent key` has made of the gossip keys. Secret; the agent writes it, nobody else.\n";
  if (!book.in_use.empty()) out << "use " << book.in_use_version << " " << book.in_use << "\n";
  for (const KeyEntry& entry : book.entries) {
    out << (entry.removed ? "removed " : "key ") << entry.version << " " << entry.id;
    if (!entry.removed) out << " " << key_text(*key_of(entry.bytes));
    out << "\n";
  }
  out << kEnd << "\n";
  return out.str();
}

Result<KeyBook> parse_key_book(std::string_view text) {
  KeyBook book;
  std::istringstream in{std::string(text)};
  std::string line;
  bool ended = false;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.starts_with('#')) continue;
    const auto fault = [&] { return fail("line " + std::to_string(number) + " is not what an agent has written"); };
    if (ended) return fault();
    if (line == kEnd) {
      ended = true;
      continue;
    }
    std::istringstream words(line);
    std::string what;
    std::string id;
    std::string key;
    std::string more;
    std::uint64_t version = 0;
    if (!(words >> what >> version >> id)) return fault();
    words >> key >> more;
    if ((what == "key") == key.empty() || !more.empty()) return fault();
    if (what == "use") {
      book.in_use = id;
      book.in_use_version = version;
    } else if (what == "removed") {
      book.entries.push_back({id, version, true, ""});
    } else {
      const auto keys = KeyRing::parse(key);
      if (what != "key" || !keys) return fault();
      book.entries.push_back({id, version, false, bytes_of(keys->primary())});
    }
  }
  if (!ended) return fail("its end is missing");
  if (!sound(book)) return fail("it contradicts itself");
  return book;
}

}  // namespace ringagent

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "gossip/key_book.h"

using namespace ringagent;

namespace {

Key key(char letter) {
  return *key_of(std::string(kKeyBytes, letter));
}

std::string name(char letter) {
  return to_string(key(letter).id);
}

KeyRing file(const std::string& letters) {
  std::vector<Key> keys;
  for (const char letter : letters) keys.push_back(key(letter));
  return KeyRing(std::move(keys));
}

// The first, then the rest in the order of the alphabet.
std::string letters(const KeyRing& ring) {
  std::string out;
  for (const Key& one : ring.keys()) out += static_cast<char>(one.bytes[0]);
  if (!out.empty()) std::sort(out.begin() + 1, out.end());
  return out;
}

}  // namespace

TEST_CASE("key book: without a command the file rules, in its order") {
  CHECK(letters(ring_of({}, file("BA"))) == "BA");
  CHECK(letters(ring_of({}, file("AB"))) == "AB");
  CHECK(ring_of({}, KeyRing::insecure()).is_insecure());
}

TEST_CASE("key book: a rotation, and what the file says afterwards") {
  KeyBook book;
  install(book, key('B'));
  CHECK(letters(ring_of(book, file("A"))) == "AB");
  use(book, key('B'));
  CHECK(letters(ring_of(book, file("A"))) == "BA");
  CHECK(letters(ring_of(book, file("AC"))) == "BAC");  // a file may add
  remove(book, key('A').id);
  CHECK(letters(ring_of(book, file("A"))) == "B");  // and not bring back
  CHECK(letters(ring_of(book, file("AB"))) == "B");
  CHECK(letters(ring_of(book, file("C"))) == "BC");
  const KeyBook before = book;
  install(book, key('B'));
  use(book, key('B'));
  remove(book, key('A').id);
  CHECK(book == before);
  install(book, key('A'));
  CHECK(letters(ring_of(book, file("C"))) == "BAC");
}

TEST_CASE("key book: a key of the file that is used becomes one of the book") {
  KeyBook book;
  use(book, key('B'));
  CHECK(letters(ring_of(book, file("AB"))) == "BA");
  CHECK(letters(ring_of(book, file("A"))) == "BA");
}

TEST_CASE("key book: no ring is ever without a key because of what was removed") {
  KeyBook book;
  remove(book, key('A').id);
  CHECK(letters(ring_of(book, file("A"))) == "A");
}

TEST_CASE("key book: a ring has so many keys and no more, the one in use among them") {
  KeyBook book;
  for (char letter = 'A'; letter <= 'Z'; ++letter) install(book, key(letter));
  use(book, key('Z'));
  const KeyRing ring = ring_of(book, file("a"));
  CHECK(ring.keys().size() == kKeysMax);
  CHECK(ring.primary() == key('Z'));
}

TEST_CASE("key book: however books meet, all come to the same") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<KeyBook> books(4);
    const auto meet = [&] {
      const KeyBook told = books[random() % 4];
      merge(books[random() % 4], told);
    };
    for (int step = 0; step < 30; ++step) {
      KeyBook& book = books[random() % 4];
      const Key one = key(static_cast<char>('A' + random() % 6));
      switch (random() % 5) {
        case 0:
          install(book, one);
          break;
        case 1:
          use(book, one);
          break;
        case 2:
          remove(book, one.id);
          break;
        default:
          meet();
      }
      CHECK(sound(book));
    }
    for (int lap = 0; lap < 2; ++lap) {
      for (std::size_t i = 0; i < 4; ++i) {
        const KeyBook told = books[i];
        merge(books[(i + 1) % 4], told);
      }
    }
    for (const KeyBook& book : books) CHECK(book == books[0]);
    CHECK_FALSE(merge(books[0], books[1]));
  }
}

TEST_CASE("key book: a removal that is newer wins over an old installation, and the other way round") {
  KeyBook a;
  install(a, key('A'));
  KeyBook b = a;
  remove(b, key('A').id);
  KeyBook c = b;
  install(c, key('A'));
  CHECK(merge(a, b));
  CHECK(removed(a, name('A')));
  CHECK_FALSE(merge(b, KeyBook{}));
  CHECK(merge(a, c));
  CHECK_FALSE(removed(a, name('A')));
  CHECK_FALSE(merge(c, b));
}

TEST_CASE("key book: what is forgotten first is the oldest removal") {
  KeyBook book;
  install(book, key('z'));
  for (char letter = 'A'; letter < 'A' + 40; ++letter) remove(book, key(letter).id);
  CHECK(book.entries.size() == kKeyEntriesMax);
  CHECK_FALSE(removed(book, name('A')));
  CHECK(removed(book, name(static_cast<char>('A' + 39))));
  CHECK(letters(ring_of(book, file("z"))) == "z");
}

TEST_CASE("key book: who shows less or more than the book says is told") {
  KeyBook book;
  const auto ring = [&] { return ring_of(book, file("A")); };
  CHECK_FALSE(is_news(book, ring(), {name('C')}));  // nobody has said anything
  install(book, key('B'));
  CHECK(is_news(book, ring(), {name('A')}));
  CHECK_FALSE(is_news(book, ring(), {name('A'), name('B')}));
  CHECK_FALSE(is_news(book, ring(), {name('B'), name('C')}));  // its own file may have more
  use(book, key('B'));
  CHECK(is_news(book, ring(), {name('A'), name('B')}));
  CHECK_FALSE(is_news(book, ring(), {name('B'), name('A')}));
  remove(book, key('A').id);
  CHECK(is_news(book, ring(), {name('B'), name('A')}));
  CHECK_FALSE(is_news(book, ring(), {name('B')}));
}

TEST_CASE("key book: the file is read as it was written, and nothing else is") {
  KeyBook book;
  CHECK(*parse_key_book(key_book_text(book)) == book);
  use(book, key('B'));
  remove(book, key('A').id);
  install(book, key('C'));
  const std::string text = key_book_text(book);
  CHECK(*parse_key_book(text) == book);
  for (std::size_t size = 0; size + 1 < text.size(); ++size)
    CHECK_FALSE(parse_key_book(text.substr(0, size)).has_value());
  const auto fault = [](const std::string& what) {
    const auto read = parse_key_book(what);
    REQUIRE_FALSE(read.has_value());
    return read.error().text;
  };
  CHECK(fault("key 1\nend\n") == "line 1 is not what an agent has written");
  CHECK(fault("end\nuse 1 " + name('A') + "\n") == "line 2 is not what an agent has written");
  CHECK(fault("removed 1 " + name('A') + "\n") == "its end is missing");
  CHECK(fault("key 1 " + name('B') + " " + key_text(key('A')) + "\nend\n") == "it contradicts itself");
  CHECK(fault("lock 1 " + name('A') + "\nend\n") == "line 1 is not what an agent has written");
}

TEST_CASE("key book: what cannot be true is not believed") {
  KeyBook book;
  use(book, key('A'));
  CHECK(sound(book));
  KeyBook bad = book;
  bad.entries[0].bytes = std::string(kKeyBytes, 'B');
  CHECK_FALSE(sound(bad));
  bad = book;
  bad.entries[0].removed = true;
  CHECK_FALSE(sound(bad));
  bad = book;
  bad.entries.push_back(bad.entries[0]);
  CHECK_FALSE(sound(bad));
  bad = book;
  bad.entries[0].version = ~0ULL;
  CHECK_FALSE(sound(bad));
  bad = book;
  bad.in_use_version = ~0ULL;
  CHECK_FALSE(sound(bad));
}

TEST_CASE("key book: fingerprints and keys as people write them") {
  CHECK(key_id(name('A')) == key('A').id);
  for (const char* bad : {"", "1", "xyzw1234", "1234567", "123456789", "1234 567", "ABCDEF12"})
    CHECK_FALSE(key_id(bad));
  CHECK_FALSE(key_of("short").has_value());
  CHECK(KeyRing::parse(key_text(key('A')))->primary() == key('A'));
}

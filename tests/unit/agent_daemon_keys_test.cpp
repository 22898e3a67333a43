#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "agent/daemon_keys.h"
#include "temp_dir.h"

using namespace ringagent;

TEST_CASE("daemon keys: what was written is read, and nobody else can") {
  const TempDir dir;
  CHECK(*read_key_book(dir.str()) == KeyBook{});
  KeyBook book;
  use(book, *key_of(std::string(kKeyBytes, 'B')));
  REQUIRE(write_key_book(dir.str(), book));
  CHECK(*read_key_book(dir.str()) == book);
  remove(book, key_of(std::string(kKeyBytes, 'A'))->id);
  std::ofstream(dir / "gossip.keys.new") << "what a crash has left";
  REQUIRE(write_key_book(dir.str(), book));
  CHECK(*read_key_book(dir.str()) == book);
  struct stat info {};
  REQUIRE(::stat((dir / "gossip.keys").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK_FALSE(std::filesystem::exists(dir / "gossip.keys.new"));
}

TEST_CASE("daemon keys: a file that is damaged or open to others is refused, with the mend") {
  const TempDir dir;
  const std::string path = dir / "gossip.keys";
  std::ofstream(path) << "use 1\n";
  ::chmod(path.c_str(), 0600);
  const auto damaged = read_key_book(dir.str());
  REQUIRE_FALSE(damaged.has_value());
  CHECK(damaged.error().text.starts_with(path + ": line 1 is not what an agent has written; put the key"));
  ::chmod(path.c_str(), 0640);
  CHECK(read_key_book(dir.str()).error().text == path + " can be read by others; chmod 600 " + path);
  CHECK(read_key_book(dir / "gossip.keys").error().text.starts_with("cannot read "));
}

TEST_CASE("daemon keys: what cannot be written is said") {
  const TempDir dir;
  const auto written = write_key_book(dir / "missing", {});
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().text.starts_with("cannot write " + (dir / "missing")));
}

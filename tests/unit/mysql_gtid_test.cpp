#include <doctest/doctest.h>

#include <random>
#include <set>
#include <tuple>

#include "mysql/gtid.h"

namespace ringagent {
namespace {

constexpr const char* kOne = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
constexpr const char* kTwo = "a0b1c2d3-71ca-11e1-9e33-c80aa9429562";

GtidSet mysql(const std::string& text) {
  const auto set = GtidSet::parse(Flavor::mysql, text);
  REQUIRE_MESSAGE(set.has_value(), text);
  return *set;
}
GtidSet mariadb(const std::string& text) {
  const auto set = GtidSet::parse(Flavor::mariadb, text);
  REQUIRE_MESSAGE(set.has_value(), text);
  return *set;
}
bool refused(Flavor flavor, const std::string& text) {
  return !GtidSet::parse(flavor, text).has_value();
}

// The same thing told naively: every transaction by itself.
using Naive = std::set<std::tuple<std::string, std::string, std::uint64_t>>;

struct Sample {
  GtidSet set;
  Naive naive;
};

constexpr std::uint64_t kSmall = 24;

Sample random_mysql(std::mt19937& random) {
  Sample sample;
  std::string text;
  const auto pick = [&](std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
  };
  for (std::uint64_t parts = pick(0, 5); parts > 0; --parts) {
    const std::string uuid = pick(0, 1) ? kOne : kTwo;
    const std::string tag = pick(0, 2) == 0 ? "nightly" : "";
    if (!text.empty()) text += pick(0, 1) ? "," : " ,\n";
    text += uuid;
    if (!tag.empty()) text += ":" + tag;
    for (std::uint64_t intervals = pick(1, 3); intervals > 0; --intervals) {
      const std::uint64_t first = pick(1, kSmall);
      const std::uint64_t last = pick(first, kSmall);
      text += ":" + std::to_string(first) + (first == last && pick(0, 1) ? "" : "-" + std::to_string(last));
      for (std::uint64_t n = first; n <= last; ++n) sample.naive.insert({uuid, tag, n});
    }
  }
  sample.set = mysql(text);
  return sample;
}

Sample random_mariadb(std::mt19937& random) {
  Sample sample;
  std::string text;
  const auto pick = [&](std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
  };
  for (std::uint64_t parts = pick(0, 4); parts > 0; --parts) {
    const std::string domain = std::to_string(pick(0, 2));
    const std::string server = std::to_string(pick(1, 2));
    const std::uint64_t last = pick(1, kSmall);
    if (!text.empty()) text += ",";
    text += domain;
    text += "-";
    text += server;
    text += "-";
    text += std::to_string(last);
    for (std::uint64_t n = 1; n <= last; ++n) sample.naive.insert({domain, server, n});
  }
  sample.set = mariadb(text);
  return sample;
}

Naive naive_of(const GtidSet& set) {
  Naive out;
  for (const auto& [stream, list] : set.streams())
    for (const auto& i : list)
      for (std::uint64_t n = i.first; n <= i.last; ++n) {
        if (stream.uuid.empty())
          out.insert({std::to_string(stream.domain), std::to_string(stream.server), n});
        else
          out.insert({stream.uuid, stream.tag, n});
      }
  return out;
}

void check_algebra(Flavor flavor, const Sample& a, const Sample& b) {
  Naive both = a.naive;
  both.insert(b.naive.begin(), b.naive.end());
  Naive rest;
  Naive common;
  for (const auto& one : a.naive) (b.naive.count(one) ? common : rest).insert(one);
  CHECK(naive_of(a.set) == a.naive);
  CHECK(naive_of(a.set.unite(b.set)) == both);
  CHECK(naive_of(a.set.subtract(b.set)) == rest);
  CHECK(naive_of(a.set.intersect(b.set)) == common);
  CHECK(a.set.count() == a.naive.size());
  CHECK(a.set.subtract(b.set).count() == rest.size());
  CHECK(b.set.contains(a.set) == rest.empty());
  CHECK((a.set == b.set) == (a.naive == b.naive));
  CHECK((a.set.str() == b.set.str()) == (a.naive == b.naive));
  for (const GtidSet& one : {a.set, a.set.unite(b.set), a.set.subtract(b.set)}) {
    const auto back = GtidSet::parse(flavor, one.str());
    REQUIRE_MESSAGE(back.has_value(), one.str());
    CHECK(*back == one);
  }
}

}  // namespace

TEST_CASE("mysql/gtid: what MySQL prints is read, whatever its order and spacing") {
  const auto set = mysql(std::string("A0B1C2D3-71CA-11E1-9E33-C80AA9429562:7 , \n") + kOne + ":1-3:4-5:11:9-10,");
  CHECK(set.str() == std::string(kOne) + ":1-5:9-11," + kTwo + ":7");
  CHECK(set.count() == 9);
  CHECK(mysql("").empty());
  CHECK(mysql(" \n").str() == "");
}

TEST_CASE("mysql/gtid: tagged transactions of MySQL 8.3 and later belong to their server") {
  const auto set = mysql(std::string(kOne) + ":1-2:Nightly:5:7-8:other_1:1," + kTwo + ":3");
  CHECK(set.str() == std::string(kOne) + ":1-2:nightly:5:7-8:other_1:1," + kTwo + ":3");
  CHECK(set.restricted_to_origin(kOne).count() == 6);
  CHECK(set.highest(kOne) == 8);
  CHECK(!mysql(std::string(kOne) + ":1-100").contains(set));
  const auto only_tagged = mysql(std::string(kOne) + ":t:1");
  CHECK(mysql(only_tagged.str()) == only_tagged);
}

TEST_CASE("mysql/gtid: a MariaDB binlog state is compared for each domain and server") {
  const auto state = mariadb("2-2-50,1-1-100,0-3-7");
  CHECK(state.str() == "0-3-7,1-1-100,2-2-50");
  CHECK(state.contains(mariadb("1-1-100")));
  CHECK(state.contains(mariadb("1-1-99,2-2-1")));
  CHECK(!state.contains(mariadb("1-1-101")));
  CHECK(!state.contains(mariadb("1-2-1")));  // the same domain, another server
  CHECK(state.domains() == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(state.restricted_to_origin("1").str() == "1-1-100");
  CHECK(state.highest("2") == 50);
  CHECK(state.highest("9") == 0);
}

TEST_CASE("mysql/gtid: what a dead node alone has is a difference, and can be written down") {
  const auto stranded = mariadb("3-3-121,1-1-90").subtract(mariadb("3-3-106,1-1-100"));
  CHECK(stranded.str() == "3-3-107..121");
  CHECK(stranded.count() == 15);
  CHECK(mariadb(stranded.str()) == stranded);
  CHECK(mysql(std::string(kOne) + ":1-121").subtract(mysql(std::string(kOne) + ":1-106")).str() ==
        std::string(kOne) + ":107-121");
}

TEST_CASE("mysql/gtid: a slave position is covered by whichever server wrote in its domain") {
  const auto state = mariadb("0-1-350,0-2-349,3-3-10");
  CHECK(state.covers_position(mariadb("0-2-350")));
  CHECK(state.covers_position(mariadb("")));
  CHECK(!state.covers_position(mariadb("0-2-351")));
  CHECK(!state.covers_position(mariadb("5-5-1")));  // a domain that was never seen here: 1236
}

TEST_CASE("mysql/gtid: nonsense is refused, never read as something else") {
  for (const char* text : {"x", "3e11fa47-71ca-11e1-9e33-c80aa942956:1", "3e11fa47-71ca-11e1-9e33-c80aa9429562",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:", "3e11fa47-71ca-11e1-9e33-c80aa9429562:0",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:5-4", "3e11fa47-71ca-11e1-9e33-c80aa9429562:-3",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1:tag",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:other:1",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:1tag:1", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1 2",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:9223372036854775807", "1-1-1"})
    CHECK_MESSAGE(refused(Flavor::mysql, text), text);
  for (const char* text :
       {"x", "1", "1-1", "1-1-", "1-1-0", "1-1-1-1", "1--1", "-1-1-1", "4294967296-1-1", "1-4294967296-1",
        "1-1-99999999999999999999", "1-1-5..4", "1-1-0..4", "1-1-..4", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1"})
    CHECK_MESSAGE(refused(Flavor::mariadb, text), text);
  CHECK(refused(Flavor::unknown, "1-1-1"));
  CHECK(GtidSet::parse(Flavor::unknown, "").has_value());
}

TEST_CASE("mysql/gtid: the largest numbers do not overflow") {
  const std::string top = std::to_string(GtidSet::kNumberMax);
  const auto all = mysql(std::string(kOne) + ":1-" + top);
  CHECK(all.count() == GtidSet::kNumberMax);
  CHECK(all.unite(mysql(std::string(kOne) + ":" + top)) == all);
  CHECK(all.subtract(all).empty());
  const auto many =
      all.unite(mysql(std::string(kTwo) + ":1-" + top)).unite(mysql("b" + std::string(kTwo).substr(1) + ":1-" + top));
  CHECK(many.count() == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("mysql/gtid: texts and interval lists have limits") {
  CHECK(refused(Flavor::mysql, std::string(kGtidTextBytesMax + 1, ' ')));
  CHECK(!refused(Flavor::mysql, std::string(kGtidTextBytesMax, ' ')));
  std::string text = kOne;
  for (std::size_t i = 0; i < kGtidIntervalsMax; ++i) text += ":" + std::to_string(2 * i + 1);
  CHECK(!refused(Flavor::mysql, text));
  CHECK(refused(Flavor::mysql, text + ":" + std::to_string(2 * kGtidIntervalsMax + 1)));
}

TEST_CASE("mysql/gtid: sets behave as sets, compared with one that counts on its fingers") {
  std::mt19937 random(20031);
  for (int round = 0; round < 400; ++round) {
    check_algebra(Flavor::mysql, random_mysql(random), random_mysql(random));
    check_algebra(Flavor::mariadb, random_mariadb(random), random_mariadb(random));
  }
}

}  // namespace ringagent

#include <doctest/doctest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "agent/advice.h"

using namespace ringagent;

TEST_CASE("advice: every problem that the agent names has its own") {
  std::ostringstream text;
  text << std::ifstream(RINGAGENT_SOURCE_DIR "/agent/node_status.cpp").rdbuf();
  const std::string source = std::regex_replace(text.str(), std::regex("\\s+"), " ");
  // add(s, SEVERITY, "code", ...  or  add(s, SEVERITY, condition ? "code" : "code", ...
  const std::regex call(R"re(add\(s, [^,]*, ([^,]*),)re");
  const std::regex word(R"re("([a-z_]+)")re");
  std::set<std::string> codes;
  for (std::sregex_iterator at(source.begin(), source.end(), call), end; at != end; ++at) {
    const std::string argument = (*at)[1];
    for (std::sregex_iterator w(argument.begin(), argument.end(), word); w != end; ++w) codes.insert((*w)[1]);
  }
  for (const char* no_code : {"running", "down"}) codes.erase(no_code);
  CHECK(codes.size() >= 20);
  CHECK(codes.count("no_quorum") == 1);
  CHECK(codes.count("applier_stopped") == 1);
  for (const auto& code : codes) CHECK_MESSAGE(has_advice(code), code << ": agent/advice.cpp should say what to do");
}

TEST_CASE("advice: what has none gets a general one") {
  CHECK_FALSE(has_advice("binlog_format"));
  CHECK(advice("binlog_format").todo.find("ringagent check") != std::string::npos);
  CHECK(advice("node_out").todo != advice("binlog_format").todo);
}

// The copy engine against real servers, without agents: the ring's part (who may be overwritten and when) is the
// caller's. tests/real/stories_joining.py runs it.
//
//   copy_probe SOCKET DONOR-HOST:PORT REPLICATION-USER PASSWORD-FILE STATE-DIR auto|clone|dump [POSITION...]
//
// Exit 0: "complete"; 1: one line why not.

#include <fstream>
#include <iostream>

#include "agent/copy.h"

using namespace ringagent;

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 6) {
    std::cerr << "six words are wanted\n";
    return 64;
  }
  const auto address = Address::parse(words[1]);
  std::ifstream file(words[3]);
  CopyJob job;
  std::getline(file, job.donor.password);
  job.local.socket = words[0];
  job.local.user = "root";
  job.donor.address = *address;
  job.donor.user = words[2];
  job.donor_name = "donor";
  if (words[5] == "clone") job.method = CopyMethod::clone;
  if (words[5] == "dump") job.method = CopyMethod::dump;
  job.positions.assign(words.begin() + 6, words.end());
  job.accounts.replication_password = job.donor.password;
  job.accounts.password = job.donor.password;
  job.agent = job.local;
  job.agent.user = job.accounts.user;
  job.agent.password = job.accounts.password;
  job.state_dir = words[4];
  const Interrupt interrupt;
  const auto done = copy_data(job, {std::cout}, interrupt);
  std::cout << std::flush;
  if (!done) std::cerr << done.error().text << "\n";
  if (done) std::cout << "complete\n";
  return done ? 0 : 1;
}

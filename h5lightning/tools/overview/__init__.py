"""What files hold and which sample they suggest: where inspect, doctor, bench and check begin."""

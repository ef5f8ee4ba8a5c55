"""What files hold, and which samples they suggest: inspect, doctor, bench and check all start here."""

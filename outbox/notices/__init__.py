"""What people of an organization are told in the application, and by e-mail if they want it."""

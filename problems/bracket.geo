// A bracket with two holes for bolts and one for a pin; gmsh -2 bracket.geo writes bracket.msh.
w = 0.7;      // half the width of both legs, and the radius of their ends
r = 0.5;      // the radius of the fillet between them
l = 2.0;      // the distance of the holes
size = 0.2;   // of the elements; it gives five nodes and more to each arc

centers_x[] = {0, 0, l};
centers_y[] = {0, l, 0};
radii[] = {0.3, 0.3, 0.25};
For i In {0:2}
  n = 100 * (i + 1);
  x = centers_x[i];
  y = centers_y[i];
  a = radii[i];
  Point(n) = {x, y, 0, size / 2};
  Point(n + 1) = {x + a, y, 0, size / 2};
  Point(n + 2) = {x, y + a, 0, size / 2};
  Point(n + 3) = {x - a, y, 0, size / 2};
  Point(n + 4) = {x, y - a, 0, size / 2};
  Circle(n + 1) = {n + 1, n, n + 2};
  Circle(n + 2) = {n + 2, n, n + 3};
  Circle(n + 3) = {n + 3, n, n + 4};
  Circle(n + 4) = {n + 4, n, n + 1};
  Curve Loop(n) = {n + 1, n + 2, n + 3, n + 4};
EndFor

Point(1) = {0, -w, 0, size};
Point(2) = {l, -w, 0, size};
Point(3) = {l + w, 0, 0, size};
Point(4) = {l, w, 0, size};
Point(5) = {w + r, w, 0, size / 2};
Point(6) = {w, w + r, 0, size / 2};
Point(7) = {w, l, 0, size};
Point(8) = {0, l + w, 0, size};
Point(9) = {-w, l, 0, size};
Point(10) = {-w, 0, 0, size};
Point(11) = {w + r, w + r, 0, size / 2};
Line(1) = {1, 2};
Circle(2) = {2, 300, 3};
Circle(3) = {3, 300, 4};
Line(4) = {4, 5};
Circle(5) = {5, 11, 6};
Line(6) = {6, 7};
Circle(7) = {7, 200, 8};
Circle(8) = {8, 200, 9};
Line(9) = {9, 10};
Circle(10) = {10, 100, 1};
Curve Loop(1) = {1:10};
Plane Surface(1) = {1, 100, 200, 300};

Physical Curve("rim") = {1:10};
Physical Curve("bolts") = {101:104, 201:204};
Physical Curve("pin") = {301:304};
Physical Surface("bracket") = {1};
